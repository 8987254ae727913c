// What the tests share that crash at every operation of a disk: the disk with the client that wrote
// on it, and what may strike the two. A client has run(disk, ...), one life of its process, and
// check(disk), which fails the test if a start after a crash finds what must not be.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>

#include "tests/support/fake_file_system.h"

namespace holdfast {

enum class Crash { kPower, kProcess, kProcessThenPower };
inline constexpr Crash kCrashes[] = {Crash::kPower, Crash::kProcess, Crash::kProcessThenPower};

/// A disk and the client that wrote on it until something struck.
template <class Client>
struct CrashScene {
  std::unique_ptr<raft::FakeFileSystem> disk;
  Client client;

  CrashScene copy(uint64_t seed) const { return {disk->clone(seed), client}; }
  void strike(Crash crash) {
    if (crash == Crash::kPower) {
      disk->power_loss();
    } else {
      disk->process_crash();
    }
  }
  void check() { client.check(*disk); }
  /// Checks what a power loss leaves, and what the end of the process leaves, and a power loss
  /// behind that: the pages of a failed sync are readable, on no disk, and look clean.
  void check_after_each(uint64_t seed) {
    CrashScene other = copy(seed);
    disk->power_loss();
    check();
    other.disk->process_crash();
    other.check();
    other.disk->power_loss();
    other.check();
  }
};

/// After the crash at operation `at` the next start crashes too, at each of its operations in turn
/// (every `step`-th), until restart(scene) says that it came to its end. Returns early once the
/// test has failed.
template <class Client, class Restart>
void crash_the_next_start(const CrashScene<Client>& crashed, uint64_t at, uint64_t step,
                          Restart&& restart) {
  for (const Crash crash : {Crash::kPower, Crash::kProcess}) {
    bool finished = false;
    for (uint64_t second = 1; !finished; second += step) {
      SCOPED_TRACE("operations " + std::to_string(at) + ", " + std::to_string(second));
      CrashScene<Client> scene = crashed.copy(second);
      scene.strike(crash);
      scene.disk->crash_at(scene.disk->operations() + second);
      finished = restart(scene);
      scene.check_after_each(at + second);
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
}

}  // namespace holdfast
