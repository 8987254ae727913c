// The numbers under which parked calls are kept, by call: for when a call's client is gone.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "coordinator/server/call.h"

namespace holdfast::server {

class CallNumbers {
 public:
  void add(CallId call, uint64_t number) { by_place_[place_of(call)] = {call.generation, number}; }
  void erase(CallId call) { by_place_.erase(place_of(call)); }
  /// 0: the call is not here.
  uint64_t find(CallId call) const {
    const auto at = by_place_.find(place_of(call));
    return at != by_place_.end() && at->second.generation == call.generation ? at->second.number
                                                                             : 0;
  }

 private:
  struct Entry {
    uint32_t generation;
    uint64_t number;
  };
  /// No two outstanding calls share one.
  static uint64_t place_of(CallId call) { return uint64_t{call.port} << 32 | call.slot; }

  std::unordered_map<uint64_t, Entry> by_place_;
};

}  // namespace holdfast::server
