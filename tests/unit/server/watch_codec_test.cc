// What is spliced into a poll's answer must read as what the generated structs write.
#include "coordinator/server/watch_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gen/cpp/Holdfast.h"
#include "gen/cpp/Holdfast.tcc"
#include "gen/cpp/holdfast_types.tcc"
#include "gen/cpp/watch_types.tcc"
#include "lockmgr/types.h"

namespace holdfast::server {
namespace {

api::WatchEvent key_event(const std::string& path, const std::string& value) {
  api::WatchEvent event;
  event.eventType = api::EventType::KEY_CHANGED;
  event.path = path;
  event.version = 7;
  event.createRevision = 100;
  event.modifyRevision = 300;
  event.ephemeralOwner = 5;
  event.value = value;
  return event;
}

/// A reply with everything in it, and the struct it stands for.
class PollReplyTest : public ::testing::TestWithParam<WireProtocol> {
 protected:
  PollReplyTest() {
    api::PollResult& head = reply_.head;
    head.header.revision = 300;
    head.header.leaderAddress = "127.0.0.1:7411";
    head.leaseMs = 9'000;
    head.delivery = 12;
    head.grants.resize(2);
    head.grants[1].path = "/granted";
    head.revocations.resize(1);
    head.losses.resize(1);
    head.more = true;
    head.progressRevision = 299;
    head.progressWatchId = 3;
    head.serverEpoch = 1'234;
    expected_ = head;
    add(1, {key_event("/a", "value"), key_event("/b", std::string(300, 'x'))}, true);
    add(2, {}, false);
  }
  void add(int64_t watch, const std::vector<api::WatchEvent>& events, bool partial) {
    api::WatchDelivery whole;
    whole.watchId = watch;
    whole.kind = api::DeliveryKind::EVENTS;
    whole.revision = 300;
    whole.events = events;
    whole.partial = partial;
    expected_.watches.push_back(whole);
    SplicedDelivery& spliced = reply_.add();
    spliced.watch_id = watch;
    spliced.kind = whole.kind;
    spliced.revision = whole.revision;
    spliced.partial = partial;
    for (const api::WatchEvent& event : events) {
      std::string bytes;
      encoder_.encode({&event, 1}, bytes);
      spliced.bytes.emplace_back(Blob(bytes));
      ++spliced.events;
    }
  }

  EventEncoder encoder_;
  PollReply reply_;
  api::PollResult expected_;
};

TEST_P(PollReplyTest, AClientReadsWhatTheGeneratedStructWouldHaveSaid) {
  std::string frame;
  RpcWriter writer;
  writer.write_reply(frame, GetParam(), "poll", 4, &reply_);
  RpcReader reader;
  reader.reset(frame, GetParam());
  MessageHead head;
  reader.read_head(head);
  EXPECT_EQ(head.name, "poll");
  api::Holdfast_poll_result result;
  reader.read_arguments(result);
  EXPECT_EQ(result.success, expected_);
}

TEST_P(PollReplyTest, ExpandedItIsTheSameStruct) {
  EXPECT_EQ(reply_.expand(), expected_);
  reply_.clear();
  expected_.watches.clear();
  EXPECT_EQ(reply_.expand(), expected_);
}

INSTANTIATE_TEST_SUITE_P(Protocols, PollReplyTest,
                         ::testing::Values(WireProtocol::kBinary, WireProtocol::kCompact));

TEST(EventBatch, KeepsWhatEventsSayThroughTheHistory) {
  EventBatch batch;
  tree::Event changed;
  changed.kind = tree::EventKind::kChanged;
  changed.path = "/a";
  changed.value = "value";
  changed.version = 7;
  changed.create_revision = Revision(100);
  batch.add(changed);
  rsm::Effect ended;
  ended.kind = rsm::EffectKind::kTenureEnded;
  ended.path = "/lock";
  ended.session = SessionId(5);
  ended.holder_id = Revision(200);
  ended.token = Revision(201);
  ended.end_reason = lockmgr::EndReason::kRevoked;
  batch.add(ended);
  rsm::Effect reply;
  reply.kind = rsm::EffectKind::kReply;
  batch.add(reply);
  watch::History history({}, Revision{}, 1);
  history.append(Revision(300), batch.events());
  ASSERT_EQ(history.size(), 2u);
  const api::WatchEvent key = api_event(history.at(0), true);
  EXPECT_EQ(key.eventType, api::EventType::KEY_CHANGED);
  EXPECT_EQ(key.path, "/a");
  EXPECT_EQ(key.value, "value");
  EXPECT_EQ(key.version, 7);
  EXPECT_EQ(key.createRevision, 100);
  EXPECT_EQ(key.modifyRevision, 300);
  EXPECT_EQ(api_event(history.at(0), false).value, "");
  const api::WatchEvent lock = api_event(history.at(1), true);
  EXPECT_EQ(lock.eventType, api::EventType::LOCK_ENDED);
  EXPECT_EQ(lock.sessionId, 5);
  EXPECT_EQ(lock.holderId, 200);
  EXPECT_EQ(lock.token, 201);
  EXPECT_EQ(lock.endReason, api::EndReason::REVOKED);
}

}  // namespace
}  // namespace holdfast::server
