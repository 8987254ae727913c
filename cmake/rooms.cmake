# hf_room(FOLDER LINK ...): one library per folder, of all its .cc files (not of its subfolders).
# Rooms link each other by folder name. A folder without sources yet becomes an interface target.
function(hf_link TARGET SCOPE)
  foreach(dep ${ARGN})
    if(dep MATCHES "::" OR dep STREQUAL "gflags")
      target_link_libraries(${TARGET} ${SCOPE} ${dep})
    else()
      string(REPLACE "/" "_" name "hf_${dep}")
      target_link_libraries(${TARGET} ${SCOPE} ${name})
    endif()
  endforeach()
endfunction()

function(hf_room FOLDER)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  string(REPLACE "/" "_" name "hf_${FOLDER}")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${FOLDER}/*.cc)
  if(HOLDFAST_FUZZ)
    list(FILTER sources EXCLUDE REGEX "${HF_NOT_FUZZED}")
  endif()
  if(sources)
    add_library(${name} STATIC ${sources})
    set(scope PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_link_libraries(${name} ${scope} hf_interface)
  if(sources)
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:hf_options>)
  endif()
  hf_link(${name} ${scope} ${ARG_LINK})
endfunction()

# What ./dev build makes: every program, and the generated Python.
add_custom_target(programs)

# hf_program(NAME globs... [ONLY_IF OPTION] LINK rooms...): an executable in build/bin; skipped
# while it has no source. One that stands under an option is built only when asked for by name.
function(hf_program NAME)
  cmake_parse_arguments(ARG "" "ONLY_IF" "LINK" ${ARGN})
  if(ARG_ONLY_IF AND NOT ${ARG_ONLY_IF})
    return()
  endif()
  list(TRANSFORM ARG_UNPARSED_ARGUMENTS PREPEND ${CMAKE_SOURCE_DIR}/)
  file(GLOB sources CONFIGURE_DEPENDS ${ARG_UNPARSED_ARGUMENTS})
  if(sources)
    add_executable(${NAME} ${sources})
    target_link_libraries(${NAME} PRIVATE hf_options)
    hf_link(${NAME} PRIVATE ${ARG_LINK})
    if(ARG_ONLY_IF)
      set_target_properties(${NAME} PROPERTIES EXCLUDE_FROM_ALL ON)
    else()
      add_dependencies(programs ${NAME})
    endif()
  endif()
endfunction()

# hf_idl(): C++ from every file in thrift/, generated into build/gen/cpp and compiled as one unit
# with warnings off: the library "thrift". Include as "gen/cpp/holdfast_types.h". The Python
# packages holdfast_api and holdfast_replicated are made beside it, in build/gen/py.
function(hf_idl)
  set(out ${CMAKE_BINARY_DIR}/gen/cpp)
  file(MAKE_DIRECTORY ${out} ${CMAKE_BINARY_DIR}/gen/py)
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/thrift/*.thrift)
  set(stamps "")
  set(includes "")
  foreach(idl ${files})
    get_filename_component(stem ${idl} NAME_WE)
    set(parts ${stem}_types)
    file(STRINGS ${idl} services REGEX "^service ")
    foreach(line ${services})
      string(REGEX REPLACE "^service ([A-Za-z]+).*" "\\1" service ${line})
      list(APPEND parts ${service})
    endforeach()
    file(STRINGS ${idl} constants REGEX "^const ")
    if(constants)
      list(APPEND parts ${stem}_constants)
    endif()
    foreach(part ${parts})
      string(APPEND includes "#include \"${part}.cpp\"\n")
    endforeach()
    add_custom_command(
      OUTPUT ${out}/${stem}.stamp
      BYPRODUCTS ${out}/${stem}_types.h
      COMMAND ${THRIFT_COMPILER} -strict --gen cpp:templates,moveable_types,no_skeleton
              -I ${CMAKE_SOURCE_DIR}/thrift -out ${out} ${idl}
      COMMAND ${THRIFT_COMPILER} -strict --gen py
              -I ${CMAKE_SOURCE_DIR}/thrift -out ${CMAKE_BINARY_DIR}/gen/py ${idl}
      COMMAND ${CMAKE_COMMAND} -E touch ${out}/${stem}.stamp
      DEPENDS ${files}
      COMMENT "Generating C++ and Python from thrift/${stem}.thrift")
    list(APPEND stamps ${out}/${stem}.stamp)
  endforeach()
  file(CONFIGURE OUTPUT ${out}/unity.cc CONTENT "${includes}")
  add_custom_target(hf_thrift_generated DEPENDS ${stamps})
  add_dependencies(programs hf_thrift_generated)
  set_source_files_properties(${out}/unity.cc PROPERTIES OBJECT_DEPENDS "${stamps}")
  add_library(hf_thrift STATIC ${out}/unity.cc)
  add_dependencies(hf_thrift hf_thrift_generated)
  target_compile_options(hf_thrift PRIVATE -w)
  if(HOLDFAST_FUZZ)
    target_compile_options(hf_thrift PRIVATE -O0)  # a third of the time to compile
  endif()
  if(HOLDFAST_SANITIZE MATCHES undefined)
    # A generated enum holds whatever number came over the wire; the code that takes it up judges
    # it. No compiler presumes otherwise without -fstrict-enums.
    target_compile_options(hf_thrift PUBLIC -fno-sanitize=enum)
  endif()
  # Generated headers include each other by bare name, hence the second folder.
  target_include_directories(hf_thrift SYSTEM PUBLIC
    $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}> $<BUILD_INTERFACE:${out}>
    $<INSTALL_INTERFACE:include/holdfast> $<INSTALL_INTERFACE:include/holdfast/gen/cpp>)
  target_link_libraries(hf_thrift PUBLIC hf_interface ${THRIFT_STATIC})
  target_link_libraries(hf_thrift PRIVATE $<BUILD_INTERFACE:hf_options>)
endfunction()
