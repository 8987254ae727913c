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

# What several suites share: the fake disk, and SQLite's way to it; and a count of allocations.
hf_room(tests/support LINK base raft/core raft/storage PkgConfig::sqlite)
hf_room(tests/counting LINK base)

# A stored state that is whole and not the others': for the tests on real processes and the
# simulator.
hf_room(tests/altering LINK base coordinator/snapshot)
hf_program(alter-snapshot tests/altering/program/*.cc LINK base raft/storage tests/altering)

# Judges histories of calls: for the tests on real processes, and for the simulation.
hf_room(tests/history LINK nlohmann_json::nlohmann_json)
hf_program(history-check tests/history/program/history_check.cc LINK tests/history)

hf_suite(unit/base LINK base)
hf_suite(unit/net LINK base/net)
hf_suite(unit/core LINK raft/core)
hf_suite(paper LINK raft/core)
hf_suite(unit/storage LINK raft/storage tests/support)
hf_suite(unit/transport LINK raft/transport)
hf_suite(unit/node LINK raft/node tests/support)
hf_suite(unit/session LINK session tests/counting)
hf_suite(unit/lockmgr LINK lockmgr tests/counting)
hf_suite(model LINK lockmgr)
hf_suite(unit/tree LINK coordinator/tree tests/counting)
hf_suite(unit/watch LINK coordinator/watch tests/counting)
hf_suite(unit/rsm LINK coordinator/rsm tests/counting)
hf_suite(unit/snapshot LINK coordinator/loading tests/support tests/counting)
hf_suite(unit/founding LINK coordinator/founding coordinator/loading tests/support)
hf_suite(unit/server LINK coordinator/server coordinator/snapshot coordinator/loading
         coordinator/rsm tests/support tests/counting)
hf_suite(unit/client LINK clients/cpp)
hf_suite(unit/cli LINK clients/cli)
hf_suite(unit/raftlab LINK tests/raftlab)
hf_suite(unit/wire LINK bench/wire)
hf_suite(unit/history LINK base tests/history)
# Threads against each other; made for the tsan preset, and short enough for every run.
hf_suite(stress LINK coordinator/server)

# The simulator: a program for hours by hand (./dev simulate), and a slice of it in the suite.
hf_room(tests/simulation
        LINK base raft/core raft/storage raft/transport raft/node session lockmgr coordinator/tree
             coordinator/rsm coordinator/snapshot coordinator/loading coordinator/server thrift
             tests/support tests/altering tests/history)
hf_suite(unit/simulation LINK tests/simulation)
file(GLOB simulate CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/simulation/program/*.cc)
add_executable(simulate ${simulate})
target_link_libraries(simulate PRIVATE hf_options)
hf_link(simulate PRIVATE tests/simulation gflags)
# Runs that showed a bug, each seed twice for determinism, a fixed set of seeds, and a few minutes
# of seeds that nobody has run before. What these find may be older than the change: the seed tells.
set(HF_SIMULATE simulate --schedule_out=${CMAKE_BINARY_DIR}/schedule.txt)
add_test(NAME simulation/schedules
         COMMAND ${HF_SIMULATE} --replay=${CMAKE_SOURCE_DIR}/tests/simulation/schedules)
# Runs with a story; two of them with a crash around every eighth disk operation besides.
set(HF_STORIES ${CMAKE_SOURCE_DIR}/tests/simulation/stories)
add_test(NAME simulation/stories COMMAND ${HF_SIMULATE} --replay=${HF_STORIES})
set(HF_STRIDE 8)
if(HOLDFAST_SANITIZE)
  set(HF_STRIDE 160)
endif()
add_test(NAME simulation/moments
         COMMAND ${HF_SIMULATE} --moments=${HF_STORIES}/members.txt --stride=${HF_STRIDE} --jobs=2
                 --shrink_seconds=0)
add_test(NAME simulation/pieces
         COMMAND ${HF_SIMULATE} --moments=${HF_STORIES}/pieces.txt --stride=${HF_STRIDE} --jobs=2
                 --shrink_seconds=0)
set_tests_properties(simulation/moments simulation/pieces PROPERTIES PROCESSORS 2)
add_test(NAME simulation/twice COMMAND ${HF_SIMULATE} --seeds=20 --twice)
# A sanitizer makes each take some ten times as long, and sees the same code in the first hundred.
set(HF_SEEDS 1000)
if(HOLDFAST_SANITIZE)
  set(HF_SEEDS 100)
endif()
add_test(NAME simulation/seeds
         COMMAND ${HF_SIMULATE} --seeds=${HF_SEEDS} --jobs=2 --shrink_seconds=120)
set_tests_properties(simulation/seeds PROPERTIES LABELS slow PROCESSORS 2)
add_test(NAME simulation/fresh
         COMMAND ${HF_SIMULATE} --fresh --minutes=2 --shrink_seconds=120
                 --schedule_out=${CMAKE_BINARY_DIR}/fresh-schedule.txt)
set_tests_properties(simulation/fresh PROPERTIES LABELS slow)

# Preloaded into the servers of tests/chaos: clock rates, slow and failing disks.
add_library(chaos-shim SHARED ${CMAKE_SOURCE_DIR}/tests/chaos/shim/shim.cc)
target_link_libraries(chaos-shim PRIVATE hf_options ${CMAKE_DL_LIBS})
set_target_properties(chaos-shim PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# A server of the feature level before, to be replaced by today's (integration/upgrade).
hf_program(holdfastd-previous coordinator/holdfastd.cc tests/compat/previous_level.cc
           LINK coordinator/server coordinator/rsm glog::glog)

# The checks of the tree itself and the tests in Python run under ctest too: its summary is the
# one answer. Debian's own Python is named because only it sees Debian's Python packages.
set(HF_PYTHON /usr/bin/python3)
set(HF_PYTEST ${HF_PYTHON} -B -m pytest -q -p no:cacheprovider)
# Under a sanitizer they are left out, and so are the fuzzers: they run none of these programs.
if(NOT HOLDFAST_SANITIZE)
  foreach(check includes banned sizes words idl docs format shell types tidy)
    add_test(NAME lint/${check}
             COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/lint/lint.py ${check})
  endforeach()
  set_tests_properties(lint/tidy PROPERTIES LABELS slow)
  add_test(NAME lint/self COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/lint)
  add_test(NAME mutants/patches COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/mutants)
  add_test(NAME dev/script COMMAND ${HF_PYTEST} ${CMAKE_SOURCE_DIR}/tests/dev)
  set_tests_properties(dev/script PROPERTIES ENVIRONMENT "PYTHONPATH=${CMAKE_BINARY_DIR}/gen/py")
  # A few seconds of each fuzzer, after what once crashed; ./dev fuzz for longer. Clang builds them
  # in a folder of their own, which ./dev test has done before.
  add_test(NAME fuzz/build COMMAND sh -c "cmake --preset fuzz && ninja -C build/fuzz fuzzers")
  set_tests_properties(fuzz/build PROPERTIES LABELS slow FIXTURES_SETUP fuzzers
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  foreach(target dispatch recovery commands core)
    add_test(NAME fuzz/${target}
             COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/fuzz/run.py ${target} --minutes 0.2)
    set_tests_properties(fuzz/${target} PROPERTIES LABELS slow FIXTURES_REQUIRED fuzzers)
  endforeach()
endif()
# Golden scenarios of the consensus core, in the language of raftlab (docs/raftlab.md).
set(HF_SCENARIOS ${CMAKE_SOURCE_DIR}/tests/scenario)
add_test(NAME scenario
         COMMAND ${HF_PYTHON} -B ${HF_SCENARIOS}/run.py --raftlab=$<TARGET_FILE:raftlab>)
add_test(NAME scenario/self COMMAND ${HF_PYTEST} ${HF_SCENARIOS})
set_tests_properties(scenario/self PROPERTIES ENVIRONMENT "RAFTLAB=$<TARGET_FILE:raftlab>")
# What ./dev run shows, on ports and in a folder of its own.
set(HF_CLIENT_PATH ${CMAKE_SOURCE_DIR}/clients/python:${CMAKE_BINARY_DIR}/gen/py)
add_test(NAME demo/once
         COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/deploy/demo/demo.py --once --port=27411)
set(HF_DEMO PYTHONPATH=${HF_CLIENT_PATH} HOLDFAST_DEMO_HOME=${CMAKE_BINARY_DIR}/demo
    HOLDFAST_SERVER=$<TARGET_FILE:holdfastd>)
set_tests_properties(demo/once PROPERTIES RUN_SERIAL ON TIMEOUT 120 ENVIRONMENT "${HF_DEMO}")
# A minute of faults on real processes; ./dev chaos for longer.
add_test(NAME chaos COMMAND ${HF_PYTHON} -B ${CMAKE_SOURCE_DIR}/tests/chaos/main.py --minutes=1)
set_tests_properties(chaos PROPERTIES LABELS slow TIMEOUT 400
  ENVIRONMENT "HOLDFAST_BUILD_DIR=${CMAKE_BINARY_DIR}")
include(cmake/python.cmake)
