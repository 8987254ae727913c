// What a watch of a session sees and how it tells it. docs/watches.md says what holds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "clients/cpp/outcome.h"
#include "gen/cpp/watch_types.h"

namespace holdfast::client {

/// What to watch of a path; the path itself need not exist.
struct WatchOptions {
  api::WatchScope::type scope = api::WatchScope::NODE;
  api::WatchSpace::type space = api::WatchSpace::KEYS;
  /// Tell what happens after this revision; 0: from now on.
  int64_t since_revision = 0;
  bool with_values = false;  ///< new values of keys come with their events
  /// Only these types; empty: all. A resynchronisation shows every key and lock all the same.
  std::vector<api::EventType::type> filter = {};
};

/// All that a watch sees of one revision. Batches of one watch come in order, each once.
struct WatchBatch {
  int64_t revision = 0;
  /// The servers' history did not reach back far enough: `events` is all there is at `revision`, as
  /// KEY_CREATED and LOCK_GRANTED in the order of the tree, keys first. It takes the place of all
  /// that this watch has shown; what is not in it is gone.
  bool resync = false;
  std::vector<api::WatchEvent> events;
};

/// Called on the loop's thread, not from inside watch(). Each may end its own watch and others.
struct WatchHandlers {
  /// The watch stands: what happens after `revision` is told. Once.
  std::function<void(int64_t revision)> started = {};
  std::function<void(const WatchBatch&)> told = {};
  /// All up to `revision` has been told, though nothing of late: a program that stops now may begin
  /// again there. Ascending; at least as often as a poll parks while others write.
  std::function<void(int64_t revision)> progressed = {};
  /// It is over: refused, or the session is. Once; not after unwatch().
  std::function<void(const CallError&)> ended = {};
};

}  // namespace holdfast::client
