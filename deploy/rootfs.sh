#!/bin/sh
# Lays out the root folder of the image: the programs, the libraries that they load, certificate authorities and an app.
# There is no shell, no package manager and no setuid file in it, so that whoever breaks into a process finds no tools.
#
#   deploy/rootfs.sh ROOT APP PROGRAM…
#
# It also writes the bill of materials, $ROOT/usr/share/sbom/signalbox.cdx.json (CycloneDX 1.5): each Debian package of
# which a file was copied, with its version and the checksum of each file. Needs a Debian system.
set -eu
umask 022
export LC_ALL=C
root=$1 app=$2
shift 2

mkdir -p "$root/usr/local/bin" "$root/etc/ssl/certs" "$root/app" "$root/usr/share/sbom"
install -d -m 700 -o 65532 -g 65532 "$root/run/signalbox"
install -m 755 "$@" "$root/usr/local/bin/"
cp -r "$app/." "$root/app/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'signalbox:x:65532:65532::/nonexistent:/nonexistent' >"$root/etc/passwd"
echo 'signalbox:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"

# What the loader would load, and the loader itself, under the names that they are looked up by.
libraries=$(for program in "$@"; do ldd "$program"; done | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (.*/\1/p' | sort -u)
for library in $libraries; do
    mkdir -p "$root${library%/*}"
    cp -L "$library" "$root$library"
done

# ---- the bill of materials

# A merged /usr: dpkg may know a file of /lib under /usr/lib only, or the other way round, and tells of diversions first.
package_of() {
    real=$(readlink -f "$1")
    for path in "$1" "$real" "/usr$1" "/usr$real" "${1#/usr}" "${real#/usr}"; do
        package=$(dpkg-query -S "$path" 2>/dev/null | sed '/^diversion /d' | head -n 1)
        [ -z "$package" ] || { echo "${package%%:*}"; return; }
    done
    echo "rootfs: $1 belongs to no package" >&2
    return 1
}

components() {
    for file in $libraries /etc/ssl/certs/ca-certificates.crt; do
        # The list of authorities is put together by a package's script, from that package's files.
        case $file in
        /etc/ssl/*) package=ca-certificates ;;
        *) package=$(package_of "$file") || return ;;
        esac
        printf '%s %s %s\n' "$package" "$file" "$(sha256sum <"$root$file" | cut -d ' ' -f 1)"
    done | sort | while read -r package file sum; do
        version=$(dpkg-query -W -f '${Version}' "$package")
        printf '%s{"type":"library","name":"%s","version":"%s","purl":"pkg:deb/debian/%s@%s",' \
            "${comma:-}" "$package" "$version" "$package" "$(echo "$version" | sed 's/+/%2B/g; s/:/%3A/g')"
        printf '"hashes":[{"alg":"SHA-256","content":"%s"}],"properties":[{"name":"file","value":"%s"}]}' "$sum" "$file"
        comma=,
    done
}

{
    printf '{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"metadata":{"component":{"type":"application",'
    printf '"name":"signalbox","version":"%s"}},"components":[' "$("$1" --version)"
    components
    printf ']}\n'
} >"$root/usr/share/sbom/signalbox.cdx.json"
