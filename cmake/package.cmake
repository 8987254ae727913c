# The C++ client for other projects (docs/cpp-client.md): after
#   cmake --install build --component client --prefix DIR
# find_package(holdfast) gives the target holdfast::client to whoever has DIR in CMAKE_PREFIX_PATH.
include(CMakePackageConfigHelpers)
if(HOLDFAST_FUZZ)
  return()  # no clients there
endif()

set(here lib/cmake/holdfast)
foreach(part interface base base_net thrift clients_cpp)
  set_target_properties(hf_${part} PROPERTIES EXPORT_NAME ${part})
  install(TARGETS hf_${part} EXPORT holdfast ARCHIVE DESTINATION lib/holdfast COMPONENT client)
endforeach()
set_target_properties(hf_clients_cpp PROPERTIES EXPORT_NAME client)
install(EXPORT holdfast FILE holdfast-targets.cmake NAMESPACE holdfast:: DESTINATION ${here}
        COMPONENT client)

foreach(folder base clients/cpp thrift)
  get_filename_component(parent ${folder} DIRECTORY)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${folder} DESTINATION include/holdfast/${parent}
          COMPONENT client FILES_MATCHING PATTERN "*.h")
endforeach()
install(DIRECTORY ${CMAKE_BINARY_DIR}/gen/cpp DESTINATION include/holdfast/gen COMPONENT client
        FILES_MATCHING PATTERN "*.h" PATTERN "*.tcc")

write_basic_package_version_file(${CMAKE_BINARY_DIR}/holdfast-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_SOURCE_DIR}/cmake/holdfast-config.cmake
              ${CMAKE_BINARY_DIR}/holdfast-config-version.cmake
        DESTINATION ${here} COMPONENT client)
