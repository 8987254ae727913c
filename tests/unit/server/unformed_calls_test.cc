// What the callers of a server that belongs to no cluster are told.
#include "coordinator/server/unformed_calls.h"

#include <gtest/gtest.h>

#include "tests/unit/server/host_fakes.h"

namespace holdfast::server {
namespace {

using Asker = UnformedCalls::Asker;

constexpr CallId kCall{1, 2, 3};

struct UnformedCallsTest : testing::Test {
  static const RpcMethod& method() { return client_methods().front(); }
  api::HoldfastError told(Asker asker) {
    UnformedCalls calls(sink, asker, [this] { return unformed; });
    calls.take(method(), kCall, 100);
    return only();
  }
  /// The one answer; fails the test if there is another number.
  api::HoldfastError only() {
    EXPECT_EQ(sink.failed.size(), 1U);
    if (sink.failed.empty()) return {};
    EXPECT_EQ(sink.failed[0].first, kCall);
    return sink.failed[0].second;
  }

  Unformed unformed{"node 2 is not in a cluster yet", ClusterId()};
  TestSink sink;
};

TEST_F(UnformedCallsTest, AClientIsToldThatItMayAskAgain) {
  const api::HoldfastError error = told(Asker::kClient);
  EXPECT_EQ(error.code, api::ErrorCode::NO_LEADER);
  EXPECT_EQ(error.codeName, "NO_LEADER");
  EXPECT_EQ(error.message, unformed.why);
  EXPECT_EQ(error.header.clusterId, 0);
  EXPECT_TRUE(error.retryable);
  EXPECT_GT(error.retryAfterMs, 0) << "else it would ask without a pause";
}

TEST_F(UnformedCallsTest, NothingWasApplied) {
  EXPECT_EQ(told(Asker::kClient).applied, api::Applied::NO);
}

TEST_F(UnformedCallsTest, AnOperatorAsksThisServerAndIsTold) {
  const api::HoldfastError error = told(Asker::kOperator);
  EXPECT_EQ(error.code, api::ErrorCode::NO_LEADER);
  EXPECT_EQ(error.applied, api::Applied::NO);
  EXPECT_FALSE(error.retryable);
  EXPECT_EQ(error.retryAfterMs, 0);
}

TEST_F(UnformedCallsTest, OneThatWillHaveAStateNamesItsCluster) {
  unformed = {"node 2 loads its state", ClusterId(77)};
  EXPECT_EQ(told(Asker::kOperator).header.clusterId, 77);
}

TEST_F(UnformedCallsTest, WhatItWaitsForIsThatOfThisMoment) {
  UnformedCalls calls(sink, Asker::kClient, [this] { return unformed; });
  unformed.why = "node 2 asks the servers of --join";
  calls.refuse(kCall);
  EXPECT_EQ(only().message, unformed.why);
}

TEST_F(UnformedCallsTest, APortWithoutRoomSaysThatAndNotThatNobodyLeads) {
  UnformedCalls calls(sink, Asker::kClient, [this] { return unformed; });
  calls.refuse_overloaded(kCall, "4 calls are under way");
  EXPECT_EQ(only().code, api::ErrorCode::OVERLOADED);
  EXPECT_EQ(only().message, "4 calls are under way");
  EXPECT_EQ(only().applied, api::Applied::NO);
  EXPECT_TRUE(only().retryable);
}

}  // namespace
}  // namespace holdfast::server
