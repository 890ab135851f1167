# SPDX-License-Identifier: Apache-2.0
# kn_module_api(ingest): runs core/api/gen.py over <module>/api/*.json and adds the tables to the
# module. Call it after kn_module.
function(kn_module_api name)
  file(GLOB operations CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/api/*.json)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/generated)
  add_custom_command(
    OUTPUT ${out}/${name}_api.h ${out}/${name}_api.c
    COMMAND Python3::Interpreter ${CMAKE_SOURCE_DIR}/core/api/gen.py ${name} ${out} ${operations}
    DEPENDS
      ${CMAKE_SOURCE_DIR}/core/api/faults-aws-json.json
      ${CMAKE_SOURCE_DIR}/core/api/faults.json
      ${CMAKE_SOURCE_DIR}/core/api/gen.py
      ${CMAKE_SOURCE_DIR}/core/api/opfile.py
      ${CMAKE_SOURCE_DIR}/core/api/patterns.json
      ${CMAKE_SOURCE_DIR}/core/api/shapes.json
      ${operations}
    VERBATIM)
  target_sources(kn_${name} PRIVATE ${out}/${name}_api.c ${out}/${name}_api.h)
  target_include_directories(kn_${name} PRIVATE ${out})
endfunction()
