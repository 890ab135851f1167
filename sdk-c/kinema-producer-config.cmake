# SPDX-License-Identifier: Apache-2.0
include(CMakeFindDependencyMacro)
find_dependency(CURL)
include(${CMAKE_CURRENT_LIST_DIR}/kinema-producer-targets.cmake)
