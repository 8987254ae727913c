# Fuzzers (./dev fuzz): tests/fuzz/<target>.cc, and what else is named, become bin/fuzz-<target>.
# Built by clang, with the sanitizers and with coverage in every room: cmake --preset fuzz.
hf_room(tests/support LINK base raft/core raft/storage)

add_custom_target(fuzzers)
function(hf_fuzzer NAME)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  list(TRANSFORM ARG_UNPARSED_ARGUMENTS PREPEND ${CMAKE_SOURCE_DIR}/tests/fuzz/)
  add_executable(fuzz-${NAME} ${CMAKE_SOURCE_DIR}/tests/fuzz/${NAME}.cc ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(fuzz-${NAME} PRIVATE hf_options)
  target_link_options(fuzz-${NAME} PRIVATE -fsanitize=fuzzer)
  hf_link(fuzz-${NAME} PRIVATE ${ARG_LINK})
  add_dependencies(fuzzers fuzz-${NAME})
endfunction()

hf_fuzzer(dispatch memory_server.cc LINK coordinator/server)
hf_fuzzer(recovery damaged_disk.cc LINK raft/storage tests/support)
hf_fuzzer(commands LINK coordinator/rsm)
hf_fuzzer(core LINK raft/core)
