# SPDX-License-Identifier: Apache-2.0
# Every target of ours links kn_flags.
add_library(kn_flags INTERFACE)
target_compile_options(kn_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
  -Wformat=2 -Wswitch-enum -Wcast-qual -Wwrite-strings -fno-common -fstack-protector-strong
  -include ${CMAKE_SOURCE_DIR}/core/include/core/banned.h
  $<$<C_COMPILER_ID:Clang>:-Wthread-safety>
  $<$<BOOL:${KINEMA_WERROR}>:-Werror>)
target_compile_definitions(kn_flags INTERFACE _GNU_SOURCE KINEMA_VERSION="${PROJECT_VERSION}")
target_link_libraries(kn_flags INTERFACE Threads::Threads)
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  target_compile_definitions(kn_flags INTERFACE _FORTIFY_SOURCE=2)
  # The server is optimised as a whole when it is linked (a target's KINEMA_WHOLE); the rest is linked
  # quickly, from the same objects.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(kn_flags INTERFACE -flto=auto -ffat-lto-objects)
    target_link_options(kn_flags INTERFACE
      $<IF:$<BOOL:$<TARGET_PROPERTY:KINEMA_WHOLE>>,-flto=auto,-fno-lto>)
  endif()
endif()
if(KINEMA_SANITIZE)
  target_compile_options(kn_flags INTERFACE -fsanitize=${KINEMA_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(kn_flags INTERFACE -fsanitize=${KINEMA_SANITIZE})
endif()
if(KINEMA_FUZZ)
  target_compile_options(kn_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
