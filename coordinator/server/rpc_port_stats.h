// What a port counts. Plain numbers of one thread; whoever publishes takes a copy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"
#include "base/histogram.h"
#include "base/net/frame_connection.h"

namespace holdfast::server {

template <class Counts>
void add_each(Counts& counts, const Counts& others) {
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += others[i];
}

/// The calls of one method.
struct MethodStats {
  /// By ErrorCode: kOk for a result.
  std::array<uint64_t, static_cast<size_t>(ErrorCode::kInternal) + 1> answered{};
  /// From arrival to answer, by the loop's clock readings.
  DurationHistogram durations;

  MethodStats& operator+=(const MethodStats& other) {
    add_each(answered, other.answered);
    durations += other.durations;
    return *this;
  }
};

struct RpcPortStats {
  uint64_t calls = 0;
  uint64_t answered = 0;
  uint64_t malformed = 0;  ///< frames that were not a well-formed call
  uint64_t overloaded = 0;
  uint64_t bytes_received = 0;  ///< in frames, their lengths included
  uint64_t bytes_sent = 0;
  uint64_t connections_accepted = 0;
  uint64_t connections_refused = 0;  ///< beyond the limit, or for lack of descriptors
  /// By net::CloseCause; what this side closed because of a malformed frame is not here.
  std::array<uint64_t, static_cast<size_t>(net::CloseCause::kLocal) + 1> closed{};
  /// In the order of the port's methods.
  std::vector<MethodStats> methods;

  /// The same port's connections on another thread.
  RpcPortStats& operator+=(const RpcPortStats& other) {
    calls += other.calls;
    answered += other.answered;
    malformed += other.malformed;
    overloaded += other.overloaded;
    bytes_received += other.bytes_received;
    bytes_sent += other.bytes_sent;
    connections_accepted += other.connections_accepted;
    connections_refused += other.connections_refused;
    add_each(closed, other.closed);
    add_each(methods, other.methods);
    return *this;
  }
};

}  // namespace holdfast::server
