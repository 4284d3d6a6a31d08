# Every outside library, once, as an imported target dep::<name>. All are Debian packages (12 and 13).
find_package(PkgConfig REQUIRED)

pkg_check_modules(dep_uv REQUIRED IMPORTED_TARGET GLOBAL libuv)
pkg_check_modules(dep_crypto REQUIRED IMPORTED_TARGET GLOBAL libcrypto)
pkg_check_modules(dep_ssl REQUIRED IMPORTED_TARGET GLOBAL libssl)
pkg_check_modules(dep_hiredis REQUIRED IMPORTED_TARGET GLOBAL hiredis)
pkg_check_modules(dep_lua REQUIRED IMPORTED_TARGET GLOBAL lua5.4)
pkg_check_modules(dep_jansson REQUIRED IMPORTED_TARGET GLOBAL jansson)
pkg_check_modules(dep_zlib REQUIRED IMPORTED_TARGET GLOBAL zlib)
# Debian 13 calls it msgpack-c.
pkg_search_module(dep_msgpack REQUIRED IMPORTED_TARGET GLOBAL msgpack-c msgpack)
# Its msgpack-c.pc names a relative include folder; the headers are in the system's.
get_target_property(msgpack_folders PkgConfig::dep_msgpack INTERFACE_INCLUDE_DIRECTORIES)
if(msgpack_folders)
  list(FILTER msgpack_folders INCLUDE REGEX "^/")
  set_target_properties(PkgConfig::dep_msgpack PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${msgpack_folders}")
endif()

foreach(name uv crypto ssl hiredis lua jansson zlib msgpack)
  add_library(dep::${name} ALIAS PkgConfig::dep_${name})
endforeach()
