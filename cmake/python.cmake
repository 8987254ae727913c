# The tests in Python: a ctest test per file, so that ctest can run them side by side.
# hf_pytest(FOLDER ...): all *_test.py of tests/FOLDER, named FOLDER/<stem>. HF_PYTEST is set in
# cmake/tests.cmake. TIMEOUT in seconds;
function(hf_pytest FOLDER)
  cmake_parse_arguments(ARG "" "TIMEOUT" "" ${ARGN})
  file(GLOB files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${FOLDER}/*_test.py)
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(REGEX REPLACE "_test$" "" stem ${stem})
    add_test(NAME ${FOLDER}/${stem} COMMAND ${HF_PYTEST} ${file})
    # ./dev test quick leaves out what starts real servers; demo/once stands for it there.
    if(FOLDER MATCHES "^(integration|chaos)")
      set_tests_properties(${FOLDER}/${stem} PROPERTIES LABELS slow)
    endif()
    set_tests_properties(${FOLDER}/${stem} PROPERTIES
      ENVIRONMENT "HOLDFAST_BUILD_DIR=${CMAKE_BINARY_DIR}"
      TIMEOUT ${ARG_TIMEOUT})
  endforeach()
endfunction()

hf_pytest(unit/python TIMEOUT 120)
hf_pytest(bench TIMEOUT 60)
hf_pytest(integration TIMEOUT 240)
hf_pytest(integration_cli TIMEOUT 120)
hf_pytest(chaos TIMEOUT 240)
# The same promises with the connections on threads of their own.
foreach(stem lock hostile failover metrics)
  add_test(NAME integration_io/${stem}
           COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/integration/${stem}_test.py)
  set_tests_properties(integration_io/${stem} PROPERTIES LABELS slow TIMEOUT 240
    ENVIRONMENT "HOLDFAST_BUILD_DIR=${CMAKE_BINARY_DIR};HOLDFAST_TEST_FLAGS=--io_threads=2")
endforeach()
