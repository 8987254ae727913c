# find_package(holdfast): what the client is built of, then the target holdfast::client.
include(CMakeFindDependencyMacro)
find_dependency(Threads)
find_dependency(OpenSSL)
find_dependency(PkgConfig)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(libevent REQUIRED IMPORTED_TARGET libevent)
include(${CMAKE_CURRENT_LIST_DIR}/holdfast-targets.cmake)
