# sb_test(ROOM MODULE LIBRARIES...) builds tests/ROOM/test_MODULE.c against the named libraries and cmocka, no more.
# sb_fuzz(MODULE LIBRARIES...) builds tests/fuzz/fuzz_MODULE.c with libFuzzer when SIGNALBOX_FUZZ is on.
find_package(PkgConfig REQUIRED)
pkg_check_modules(dep_cmocka IMPORTED_TARGET GLOBAL cmocka)

# cmocka as the tests use it: a failure in the teardown of a group counts.
if(dep_cmocka_FOUND AND NOT SIGNALBOX_FUZZ)
  add_library(counting_cmocka STATIC ${PROJECT_SOURCE_DIR}/tests/harness/group_teardown.c)
  target_link_libraries(counting_cmocka PUBLIC PkgConfig::dep_cmocka)
  target_link_options(counting_cmocka INTERFACE -Wl,--wrap=_cmocka_run_group_tests)
endif()

function(sb_test room module)
  if(NOT dep_cmocka_FOUND OR SIGNALBOX_FUZZ)
    return()
  endif()
  string(REPLACE "/" "_" target "test_${room}_${module}")
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${room}/test_${module}.c)
  target_link_libraries(${target} PRIVATE ${ARGN} counting_cmocka)
  add_test(NAME ${room}/${module} COMMAND ${target})
endfunction()

function(sb_fuzz module)
  if(NOT SIGNALBOX_FUZZ)
    return()
  endif()
  add_executable(fuzz_${module} ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_${module}.c)
  target_link_libraries(fuzz_${module} PRIVATE ${ARGN})
  target_link_options(fuzz_${module} PRIVATE -fsanitize=fuzzer,address,undefined)
endfunction()
