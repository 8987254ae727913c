// What is measured, whatever the system: latencies, CPU time, rates.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

namespace holdfast::bench {

/// Latencies of one run; every one is kept.
class Latencies {
 public:
  void add(Duration latency) { ns_.push_back(latency.count()); }
  size_t count() const { return ns_.size(); }
  void clear() { ns_.clear(); }
  /// {count, p50_us, p99_us, max_us}
  nlohmann::json summary();

 private:
  std::vector<int64_t> ns_;
};

/// What all threads of a process have run so far, in seconds, by its CPU clock: the scheduler's
/// count in nanoseconds, not the timer's ticks. 0 if it is gone. pid 0: this process.
double cpu_seconds(pid_t pid);
/// Proportional set size of a process; 0 if it is gone. The kernel's memory for its sockets is not
/// in it.
int64_t memory_bytes(pid_t pid);

/// Resident memory; 0 if it is gone.
int64_t resident_bytes(pid_t pid);
/// What it has given the kernel for its files so far: sockets are written to in another way. (What
/// the kernel counts as sent to the disk is whole folios, which may be many pages of one change.)
/// 0 if it is gone.
int64_t written_bytes(pid_t pid);
/// A thread with a lower priority than the first runs now, or waits for a disk.
bool low_priority_runs(pid_t pid);
/// Status of the answer to GET `path` at "host:port"; 0: there is none.
int http_status(const std::string& address, const std::string& path);

/// Adds throughput and CPU shares of a measured span to a result. `cpu_spent`: seconds of {servers,
/// generator}; those of the servers are left out unless they are known.
void add_rates(nlohmann::json& result, size_t operations, double seconds,
               std::pair<double, double> cpu_spent, bool servers_known);

/// "a,b,c" in its parts; empty ones are dropped.
std::vector<std::string> split(const std::string& text);

/// Many connections need many descriptors: as many as the system lets us have. Ends the bench if
/// that is too few for `connections`.
void raise_descriptor_limit(int64_t connections);

/// Says on standard error what is going on.
void progress(const std::string& text);
/// Says why and ends the bench.
[[noreturn]] void fail(const std::string& why);

}  // namespace holdfast::bench
