# SPDX-License-Identifier: Apache-2.0
# One module, one call. A target sees only the public headers of its DEPS, so an upward include or
# somebody's private header does not compile.
#
#   kn_module(storage HEADERS storage.h SOURCES chunk.c DEPS core LIBS PkgConfig::LMDB)
#   kn_test(unit/buf DEPS core)               builds tests/unit/test_buf.c; ctest name unit/buf
#   kn_fuzz(json DEPS core)                   tests/fuzz/fuzz_json.c; replays the corpus without clang
function(kn_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEPS;LIBS" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/src/)
  list(TRANSFORM ARG_HEADERS PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/include/${name}/)
  list(TRANSFORM ARG_DEPS PREPEND kn_)
  if(NOT ARG_SOURCES) # headers only, so far
    file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/empty.c "typedef int kn_${name}_is_empty;\n")
    set(ARG_SOURCES ${CMAKE_CURRENT_BINARY_DIR}/empty.c)
  endif()
  add_library(kn_${name} STATIC ${ARG_SOURCES})
  target_sources(kn_${name} PUBLIC FILE_SET HEADERS
    BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR}/include FILES ${ARG_HEADERS})
  target_include_directories(kn_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/src)
  target_link_libraries(kn_${name} PUBLIC ${ARG_DEPS} PRIVATE kn_flags ${ARG_LIBS})
  set_target_properties(kn_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON
    POSITION_INDEPENDENT_CODE ON)
endfunction()

# PRIVATE_OF: also give the test a module's private headers (for tests of one source file).
function(kn_test path)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;DEPS;LIBS;PRIVATE_OF" ${ARGN})
  get_filename_component(dir ${path} DIRECTORY)
  get_filename_component(name ${path} NAME)
  string(REPLACE "/" "_" target test_${path})
  list(TRANSFORM ARG_DEPS PREPEND kn_)
  add_executable(${target} ${CMAKE_SOURCE_DIR}/tests/${dir}/test_${name}.c ${ARG_SOURCES})
  target_link_libraries(${target} PRIVATE kn_flags ${ARG_DEPS} ${ARG_LIBS} PkgConfig::CMOCKA)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit)
  foreach(module ${ARG_PRIVATE_OF})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/${module}/src
      ${CMAKE_BINARY_DIR}/${module}/generated)
  endforeach()
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${path} COMMAND ${target})
  set_tests_properties(${path} PROPERTIES LABELS "${dir}" TIMEOUT 300
    ENVIRONMENT "KINEMA_SHARED=${CMAKE_SOURCE_DIR}/../shared;KINEMA_SOURCE=${CMAKE_SOURCE_DIR}")
endfunction()

function(kn_fuzz name)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE_OF;SOURCES" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND kn_)
  set(sources ${CMAKE_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c ${ARG_SOURCES})
  if(NOT KINEMA_FUZZ)
    list(APPEND sources ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.c)
  endif()
  add_executable(fuzz_${name} ${sources})
  target_link_libraries(fuzz_${name} PRIVATE kn_flags ${ARG_DEPS})
  if(KINEMA_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    if(NOT TARGET fuzz_targets)
      add_custom_target(fuzz_targets)
    endif()
    add_dependencies(fuzz_targets fuzz_${name})
  endif()
  foreach(module ${ARG_PRIVATE_OF})
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/${module}/src)
  endforeach()
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  if(NOT KINEMA_FUZZ)
    add_test(NAME fuzz/${name} COMMAND fuzz_${name} ${CMAKE_SOURCE_DIR}/tests/data/corpus/${name})
    set_tests_properties(fuzz/${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  endif()
endfunction()
