#include "raft/core/config.h"

#include <gtest/gtest.h>

#include "raft/core/message_form.h"

namespace holdfast::raft {
namespace {

Config good() {
  Config config;
  config.id = NodeId(1);
  return config;
}

TEST(Config, DefaultsAreValid) { EXPECT_TRUE(validate(good()).ok()); }

TEST(Config, NamesTheSettingAndItsValueWhenItIsOutOfRange) {
  Config config = good();
  config.max_append_bytes = 1000;
  config.max_catchup_bytes = 999;
  const holdfast::Status status = validate(config);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kBadArgument);
  EXPECT_EQ(status.error().message, "max_catchup_bytes is 999, must be at least max_append_bytes");
}

TEST(Config, RefusesWhatCouldNotWork) {
  const auto refused = [](auto&& change) {
    Config config = good();
    change(config);
    return !validate(config).ok();
  };
  EXPECT_TRUE(refused([](Config& c) { c.id = NodeId(); }));
  EXPECT_TRUE(refused([](Config& c) { c.group = GroupId(); }));
  EXPECT_TRUE(refused([](Config& c) { c.heartbeat_interval = 0ms; }));
  EXPECT_TRUE(refused([](Config& c) { c.election_timeout_min = 150ms; }));
  EXPECT_TRUE(refused([](Config& c) { c.election_timeout_max = c.election_timeout_min; }));
  EXPECT_TRUE(refused([](Config& c) { c.fast_retry_max = c.fast_retry_min; }));
  EXPECT_TRUE(refused([](Config& c) { c.max_inflight_messages = 0; }));
  EXPECT_TRUE(refused([](Config& c) { c.max_inflight_bytes = 0; }));
  EXPECT_TRUE(refused([](Config& c) { c.max_append_bytes = 0; }));
  EXPECT_TRUE(refused([](Config& c) { c.max_committed_bytes = 0; }));
  EXPECT_TRUE(refused([](Config& c) { c.max_pending_reads = 0; }));
}

Message append_of(uint64_t index, uint64_t log_term, std::initializer_list<Entry> entries) {
  Message m;
  m.type = MessageType::kAppendRequest;
  m.term = Term(5);
  m.index = LogIndex(index);
  m.log_term = Term(log_term);
  m.entries = entries;
  return m;
}

TEST(MessageForm, AppendsHaveNoGapsAndTermsThatAscendToTheLeaders) {
  const auto e = [](uint64_t index, uint64_t term) { return Entry{Term(term), LogIndex(index)}; };
  EXPECT_TRUE(well_formed(append_of(0, 0, {e(1, 1), e(2, 5)})));
  EXPECT_TRUE(well_formed(append_of(3, 2, {e(4, 2)})));
  EXPECT_FALSE(well_formed(append_of(3, 2, {e(5, 2)})));
  EXPECT_FALSE(well_formed(append_of(3, 2, {e(4, 3), e(6, 3)})));
  EXPECT_FALSE(well_formed(append_of(3, 2, {e(4, 1)})));
  EXPECT_FALSE(well_formed(append_of(3, 2, {e(4, 6)})));
  EXPECT_FALSE(well_formed(append_of(3, 6, {})));
  EXPECT_FALSE(well_formed(append_of(0, 1, {})));
  EXPECT_FALSE(well_formed(append_of(1, 0, {})));
  EXPECT_FALSE(well_formed(append_of(0, 0, {e(1, 0)})));
}

TEST(MessageForm, NumbersStayFarFromWrapping) {
  Message m = append_of(0, 0, {});
  EXPECT_TRUE(well_formed(m));
  m.term = Term(kMaxOrdinal);
  EXPECT_FALSE(well_formed(m));
  m.term = Term(5);
  m.index = LogIndex(~uint64_t{0});
  m.log_term = Term(1);
  EXPECT_FALSE(well_formed(m));
}

TEST(MessageForm, AVoteRequestsLogEndsBeforeItsTerm) {
  Message m;
  m.type = MessageType::kVoteRequest;
  m.term = Term(5);
  m.index = LogIndex(3);
  m.log_term = Term(4);
  EXPECT_TRUE(well_formed(m));
  m.log_term = Term(5);
  EXPECT_FALSE(well_formed(m));
}

TEST(MessageForm, AHeartbeatCommitsOnlyWhatWasAcknowledged) {
  Message m;
  m.type = MessageType::kHeartbeatRequest;
  m.term = Term(5);
  m.index = LogIndex(3);
  m.commit = LogIndex(3);
  EXPECT_TRUE(well_formed(m));
  m.commit = LogIndex(4);
  EXPECT_FALSE(well_formed(m));
}

TEST(MessageForm, AnUnknownTypeIsRefused) {
  Message m;
  m.type = static_cast<MessageType>(kMessageTypes);
  EXPECT_FALSE(well_formed(m));
}

}  // namespace
}  // namespace holdfast::raft
