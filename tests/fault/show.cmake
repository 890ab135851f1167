# SPDX-License-Identifier: Apache-2.0
# Shows a file and removes it; says nothing where there is none.
if(EXISTS ${FILE})
  execute_process(COMMAND ${CMAKE_COMMAND} -E cat ${FILE})
  file(REMOVE ${FILE})
endif()
