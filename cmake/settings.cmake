# Language, warnings, sanitizers, packages: what every target shares.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
option(BUILD_TESTING "Build the tests" ON)
option(HOLDFAST_PEERS "Offer the target peer-bench, which measures ZooKeeper and etcd" OFF)
set(HOLDFAST_COMMIT "" CACHE STRING "The commit that is built, for --version; empty: not told")
set(HOLDFAST_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
option(HOLDFAST_FUZZ "Build the fuzzers instead of the tests (clang)" OFF)

find_program(CCACHE ccache)
if(CCACHE)
  # Paths are made relative, so that a second clone finds what the first one compiled.
  set(HF_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${HF_LAUNCHER})
endif()

find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(libevent REQUIRED IMPORTED_TARGET libevent)
find_package(OpenSSL REQUIRED)
find_package(glog REQUIRED)
find_package(gflags REQUIRED)
find_package(nlohmann_json REQUIRED)
pkg_check_modules(sqlite REQUIRED IMPORTED_TARGET sqlite3)
pkg_check_modules(prometheus REQUIRED IMPORTED_TARGET prometheus-cpp-core)
find_package(Threads REQUIRED)
if(HOLDFAST_PEERS)
  pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
endif()
# Thrift ships no CMake package; the static library spares users its optional dependencies.
find_program(THRIFT_COMPILER thrift REQUIRED)
find_library(THRIFT_STATIC libthrift.a REQUIRED)

# What whoever uses a room needs as well; hf_options is for compiling our own sources alone.
add_library(hf_interface INTERFACE)
target_compile_features(hf_interface INTERFACE cxx_std_20)
target_include_directories(hf_interface INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
                           $<INSTALL_INTERFACE:include/holdfast>)
target_link_libraries(hf_interface INTERFACE Threads::Threads)

# Three warnings of GCC 12 are off because, when it optimises, they accuse correct code:
# std::string's own (restrict, maybe-uninitialized), and the flag by which an object learns that a
# callback has destroyed it (dangling-pointer). clang-tidy's analyzer looks for the real ones.
add_library(hf_options INTERFACE)
target_compile_options(hf_options INTERFACE -Wall -Wextra -Wpedantic -Werror -Wshadow
                       -Wnon-virtual-dtor -Wno-missing-field-initializers
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
                       $<$<CXX_COMPILER_ID:GNU>:-Wno-dangling-pointer>
                       $<$<CONFIG:Release>:-g1> $<$<CXX_COMPILER_ID:Clang>:-fsized-deallocation>)
if(HOLDFAST_SANITIZE)
  # What a sanitizer finds ends the program: a test that only printed it would pass.
  add_compile_options(-fsanitize=${HOLDFAST_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HOLDFAST_SANITIZE})
endif()
if(HOLDFAST_FUZZ)
  # Every room tells the fuzzer which of its branches an input took.
  add_compile_options(-fsanitize=fuzzer-no-link)
  # Sockets, threads and the wiring of processes are left out: nothing of them is linked.
  string(CONCAT HF_NOT_FUZZED
         "/base/net/[^a]|/transport/(tcp_|inbound|outbound|bootstrap|handshake)"
         "|/server/(server|flag|metric|rpc_port|io_)|/threaded_|/clients/")
endif()
