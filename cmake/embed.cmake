# Turns text files into one C table of SCRIPT(name, sha1, text) lines. Run at build time:
#   cmake -D OUT=FILE.def -D IN=a.lua,b.lua -P embed.cmake
string(REPLACE "," ";" files "${IN}")
set(table "/* Made by cmake/embed.cmake. */\n")
foreach(file IN LISTS files)
  get_filename_component(name ${file} NAME_WE)
  file(SHA1 ${file} sha)
  file(READ ${file} text)
  string(REPLACE "\\" "\\\\" text "${text}")
  string(REPLACE "\"" "\\\"" text "${text}")
  string(REPLACE "\n" "\\n\"\n\"" text "${text}")
  string(APPEND table "SCRIPT(${name}, \"${sha}\",\n\"${text}\")\n")
endforeach()
file(WRITE ${OUT} "${table}")
