# Tests. tests/unit/<suite>/*.cc is one GoogleTest program per suite; what it may link is said here.
enable_testing()
find_package(GTest REQUIRED)

function(hf_suite FOLDER)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/${FOLDER}/*.cc)
  if(sources)
    string(REPLACE "/" "_" name "${FOLDER}_test")
    add_executable(${name} ${sources})
    target_link_libraries(${name} PRIVATE hf_options GTest::gmock GTest::gtest_main)
    hf_link(${name} PRIVATE ${ARG_LINK})
    add_test(NAME ${FOLDER} COMMAND ${name})
  endif()
endfunction()

# What several suites share: the fake disk.
hf_room(tests/support LINK base raft/core raft/storage)

hf_suite(unit/base LINK base)
hf_suite(unit/net LINK base/net)
hf_suite(unit/core LINK raft/core)
hf_suite(paper LINK raft/core)
hf_suite(unit/storage LINK raft/storage tests/support)
hf_suite(unit/transport LINK raft/transport)
hf_suite(unit/node LINK raft/node)
hf_suite(unit/session LINK session)
hf_suite(unit/lockmgr LINK lockmgr)
hf_suite(model LINK lockmgr)
hf_suite(unit/rsm LINK coordinator/rsm)
hf_suite(unit/server LINK coordinator/server)
hf_suite(unit/client LINK clients/cpp)
# Threads against each other; made for the tsan preset, and short enough for every run.
hf_suite(stress LINK coordinator/server)

# The simulator: a program for hours by hand (./dev simulate), and a slice of it in the suite.
file(GLOB simulation CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/simulation/*.cc)
add_executable(simulate ${simulation})
target_link_libraries(simulate PRIVATE hf_options)
hf_link(simulate PRIVATE coordinator/server tests/support gflags)
add_test(NAME simulation COMMAND simulate --seeds=60 --seconds=60)
set_tests_properties(simulation PROPERTIES LABELS slow)

# The checks of the tree itself and the tests in Python run under ctest too: its summary is the
# one answer. Debian's own Python is named because only it sees Debian's Python packages.
set(HF_PYTHON /usr/bin/python3)
set(HF_PYTEST ${HF_PYTHON} -B -m pytest -q -p no:cacheprovider)
foreach(check includes banned sizes words idl docs format shell types tidy)
  add_test(NAME lint/${check}
           COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/lint/lint.py ${check})
endforeach()
set_tests_properties(lint/tidy PROPERTIES LABELS slow)
add_test(NAME lint/self COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/lint)
add_test(NAME mutants/patches COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/mutants)
add_test(NAME dev/script COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/dev)
set_tests_properties(dev/script PROPERTIES ENVIRONMENT "PYTHONPATH=${CMAKE_BINARY_DIR}/gen/py")
# What ./dev run shows, on ports and in a folder of its own.
set(HF_CLIENT_PATH ${CMAKE_SOURCE_DIR}/clients/python:${CMAKE_BINARY_DIR}/gen/py)
add_test(NAME demo/once
         COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/deploy/demo/demo.py --once --port=27411)
set(HF_DEMO PYTHONPATH=${HF_CLIENT_PATH} HOLDFAST_DEMO_HOME=${CMAKE_BINARY_DIR}/demo
    HOLDFAST_SERVER=$<TARGET_FILE:holdfastd>)
set_tests_properties(demo/once PROPERTIES RUN_SERIAL ON TIMEOUT 120 ENVIRONMENT "${HF_DEMO}")
include(cmake/python.cmake)
