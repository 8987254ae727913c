#include "coordinator/server/rpc_port_stats.h"

#include <gtest/gtest.h>

namespace holdfast::server {
namespace {

RpcPortStats stats_of(uint64_t n) {
  RpcPortStats stats;
  for (uint64_t* count :
       {&stats.calls, &stats.answered, &stats.malformed, &stats.overloaded, &stats.bytes_received,
        &stats.bytes_sent, &stats.connections_accepted, &stats.connections_refused}) {
    *count = n++;
  }
  for (uint64_t& closed : stats.closed) closed = n++;
  stats.methods.resize(2);
  for (MethodStats& method : stats.methods) {
    for (uint64_t& answered : method.answered) answered = n++;
    for (uint64_t i = 0; i < n; ++i) method.durations.add(1ms);
    ++n;
  }
  return stats;
}

void expect_sum(const MethodStats& sum, const MethodStats& a, const MethodStats& b) {
  for (size_t i = 0; i < sum.answered.size(); ++i) {
    EXPECT_EQ(sum.answered[i], a.answered[i] + b.answered[i]);
  }
  EXPECT_EQ(sum.durations.sum(), a.durations.sum() + b.durations.sum());
}

// With I/O threads a port's counts are those of its threads, added up.
TEST(RpcPortStats, EveryCountOfTwoThreadsIsAdded) {
  const RpcPortStats a = stats_of(1);
  const RpcPortStats b = stats_of(1'000);
  RpcPortStats sum = a;
  sum += b;
  EXPECT_EQ(sum.calls, a.calls + b.calls);
  EXPECT_EQ(sum.answered, a.answered + b.answered);
  EXPECT_EQ(sum.malformed, a.malformed + b.malformed);
  EXPECT_EQ(sum.overloaded, a.overloaded + b.overloaded);
  EXPECT_EQ(sum.bytes_received, a.bytes_received + b.bytes_received);
  EXPECT_EQ(sum.bytes_sent, a.bytes_sent + b.bytes_sent);
  EXPECT_EQ(sum.connections_accepted, a.connections_accepted + b.connections_accepted);
  EXPECT_EQ(sum.connections_refused, a.connections_refused + b.connections_refused);
  for (size_t i = 0; i < sum.closed.size(); ++i)
    EXPECT_EQ(sum.closed[i], a.closed[i] + b.closed[i]);
  ASSERT_EQ(sum.methods.size(), 2u);
  for (size_t i = 0; i < 2; ++i) expect_sum(sum.methods[i], a.methods[i], b.methods[i]);
}

}  // namespace
}  // namespace holdfast::server
