# SPDX-License-Identifier: Apache-2.0
include(CMakeFindDependencyMacro)
find_dependency(kinema-producer)
include(${CMAKE_CURRENT_LIST_DIR}/kinema-consumer-targets.cmake)
