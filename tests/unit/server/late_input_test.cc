// Expiry when input is handled late: nothing is decided about a deadline up to which a renewal may
// still lie unread, on whatever thread.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "coordinator/server/engine.h"
#include "tests/support/manual_clock.h"

namespace holdfast::server {
namespace {

class CountingEntropy final : public Entropy {
 public:
  void fill(void* out, size_t size) override {
    std::fill_n(static_cast<uint8_t*>(out), size, ++next_);
  }

 private:
  uint8_t next_ = 0;
};

/// A leader alone, with a disk that is never late and one session of 4 s.
struct LateInput : testing::Test, raft::LogWriter, raft::LogReader, raft::Transport, ReplySink {
  void SetUp() override {
    EngineOptions options;
    options.self = options.raft.id = NodeId(1);
    raft::InitialState initial;
    initial.configuration.voters = {NodeId(1)};
    initial.hard_state.term = Term(1);
    engine = std::make_unique<Engine>(
        options, std::move(initial),
        EnginePorts{clock,
                    entropy,
                    *this,
                    *this,
                    *this,
                    *this,
                    [](const std::string&) {},
                    [](const Error& error) { ADD_FAILURE() << error.message; },
                    {}});
    while (!engine->host().serving) {
      clock.advance(10ms);
      turn_all_handled();
    }
    api::OpenSessionRequest open;
    open.secret = "sixteen bytes ok";
    open.ttlMs = 4'000;
    engine->open_session({}, {}, open);
    turn_all_handled();
    context.sessionSecret = open.secret;
  }

  void turn(Instant handled_until) {
    for (int i = 0; i < 5; ++i) {
      while (engine->turn_end(handled_until)) {
      }
    }
  }
  void turn_all_handled() {
    for (int i = 0; i < 5; ++i) {
      while (engine->turn_end(true)) {
      }
    }
  }
  rsm::SessionPresence session() {
    return engine->machine().presence(SessionId(static_cast<uint64_t>(context.sessionId)));
  }

  void submit(raft::Write write) override { submitted = write.number; }
  std::optional<Result<uint64_t>> collect() override {
    if (std::exchange(durable, submitted) == submitted) return std::nullopt;
    return Result<uint64_t>(durable);
  }
  uint64_t waiting_bytes() const override { return 0; }
  Outcome entries(LogIndex, LogIndex, size_t, std::vector<raft::Entry>&) override {
    return Outcome::kUnavailable;
  }
  bool send(const raft::Message&) override { return false; }
  bool send_app(NodeId, raft::Lane, uint8_t, std::string_view) override { return false; }
  void complete(CallId, const ReplyView& reply) override {
    const auto* opened = std::get_if<const api::OpenSessionResult*>(&reply);
    if (opened != nullptr) context.sessionId = (*opened)->sessionId;
    ++answers;
  }
  void fail(CallId, const api::HoldfastError& error) override { ADD_FAILURE() << error.message; }
  uint64_t client_of(CallId) const override { return 0; }

  ManualClock clock;
  CountingEntropy entropy;
  std::unique_ptr<Engine> engine;
  api::RequestContext context;
  uint64_t submitted = 0;
  uint64_t durable = 0;
  int answers = 0;
};

TEST_F(LateInput, ADeadlineThatInputHasNotReachedIsNotDecidedAndNotWaitedForByTheClock) {
  const Instant handled = clock.now() + 1s;
  clock.advance(10s);
  turn(handled);
  EXPECT_EQ(session(), rsm::SessionPresence::kLive);
  const auto undecided = engine->undecided();
  ASSERT_TRUE(undecided);
  EXPECT_GT(*undecided, handled);
  EXPECT_LE(*undecided, clock.now());
  EXPECT_GT(engine->next_wakeup(), clock.now()) << "no turn after turn in vain";
}

TEST_F(LateInput, ARenewalThatWasReadLateSavesItsSession) {
  const Instant handled = clock.now() + 1s;
  clock.advance(10s);
  turn(handled);
  engine->keep_alive({}, context, {});
  turn(clock.now());
  EXPECT_EQ(session(), rsm::SessionPresence::kLive);
  EXPECT_EQ(answers, 2);
}

TEST_F(LateInput, OnceInputIsHandledUpToTheDeadlineTheSilentSessionEnds) {
  const Instant opened = clock.now();
  clock.advance(10s);
  turn(opened + 3'900ms);
  EXPECT_EQ(session(), rsm::SessionPresence::kLive);
  turn(opened + 4'100ms);
  EXPECT_EQ(session(), rsm::SessionPresence::kEnded);
  turn(clock.now());
  EXPECT_FALSE(engine->undecided());
}

TEST_F(LateInput, AMomentThatGoesBackDecidesNothing) {
  const Instant opened = clock.now();
  turn(opened + 3'900ms);
  clock.advance(10s);
  turn(opened);
  turn(Instant::min());
  EXPECT_EQ(session(), rsm::SessionPresence::kLive);
}

}  // namespace
}  // namespace holdfast::server
