// Watches against scripted servers: where they are registered, and what is shown of what is told.
#include <set>

#include "tests/support/cpu_time.h"
#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

api::WatchEvent event(const std::string& path, int64_t version = 1,
                      api::EventType::type type = api::EventType::KEY_CHANGED) {
  api::WatchEvent event;
  event.eventType = type;
  event.path = path;
  event.version = version;
  return event;
}

api::WatchDelivery delivery(int64_t revision, std::vector<api::WatchEvent> events,
                            api::DeliveryKind::type kind = api::DeliveryKind::EVENTS,
                            bool partial = false) {
  api::WatchDelivery delivery;
  delivery.watchId = 7;
  delivery.kind = kind;
  delivery.revision = revision;
  delivery.events = std::move(events);
  delivery.partial = partial;
  return delivery;
}

class WatchTest : public SessionTest {
 protected:
  void watch(const WatchOptions& options = {}) {
    WatchHandlers handlers;
    handlers.started = [this](int64_t revision) { started_ = revision; };
    handlers.told = [this](const WatchBatch& batch) {
      batches_.push_back(batch);
      if (on_told_) on_told_();
    };
    handlers.progressed = [this](int64_t revision) {
      progress_.push_back(revision);
      if (on_progress_) on_progress_();
    };
    handlers.ended = [this](const CallError& error) { watch_ended_ = error.code; };
    watch_ = session_->watch("/w", options, std::move(handlers));
    settle();
  }
  void answer_watch(size_t command, int64_t id = 7, int64_t epoch = 0) {
    api::WatchResult result;
    result.watchId = id;
    result.revision = commands_[command].second.request<api::WatchRequest>().sinceRevision;
    if (result.revision == 0) result.revision = 40;
    result.serverEpoch = epoch != 0 ? epoch : epoch_of(*commands_[command].first);
    commands_[command].first->reply(commands_[command].second, result);
    settle();
  }
  /// An open session with a watch of id 7 that stands on a_.
  void watch_stands() {
    open();
    watch();
    ASSERT_EQ(commands_.size(), 1u);
    answer_watch(0);
    ASSERT_EQ(started_, 40);
  }
  /// The newest poll is answered with this.
  void tell(std::vector<api::WatchDelivery> deliveries, int64_t progress = 0) {
    api::PollResult result;
    result.watches = std::move(deliveries);
    result.progressRevision = progress;
    result.progressWatchId = progress > 0 ? 7 : 0;
    answer_poll(polls_.size() - 1, result);
  }
  /// The session is polled on b_ from now on.
  void lose_a() {
    a_.down();
    pass(100ms);
    ASSERT_EQ(polls_.back().first, &b_);
  }
  /// a_ answers something, so that it is not taken for dead.
  void hear_from_a() {
    client_->read<GetKey>({}, [](const auto&, const auto&) {});
    settle();
    ASSERT_EQ(commands_.back().first, &a_);
    a_.reply(commands_.back().second, api::GetResult());
    settle();
  }
  api::WatchRequest registration(size_t command) {
    return commands_[command].second.request<api::WatchRequest>();
  }
  std::vector<std::string> shown() {
    std::vector<std::string> all;
    for (const WatchBatch& batch : batches_) {
      std::string text = (batch.resync ? "state " : "") + std::to_string(batch.revision) + ":";
      for (const auto& e : batch.events) text += " " + e.path + "." + std::to_string(e.version);
      all.push_back(text);
    }
    return all;
  }
  using Shown = std::vector<std::string>;

  int64_t watch_ = 0;
  int64_t started_ = 0;
  std::vector<WatchBatch> batches_;
  std::function<void()> on_told_;
  std::vector<int64_t> progress_;
  std::function<void()> on_progress_;
  std::optional<ErrorCode> watch_ended_;
};

// ------------------------------------------------------------------------------- registration

TEST_F(WatchTest, IsRegisteredOnTheServerThatIsPolledWithoutASequence) {
  open();
  watch({.scope = api::WatchScope::SUBTREE,
         .space = api::WatchSpace::BOTH,
         .since_revision = 33,
         .with_values = true,
         .filter = {api::EventType::KEY_REMOVED}});
  ASSERT_EQ(commands_.size(), 1u);
  EXPECT_EQ(commands_[0].first, polls_.back().first);
  EXPECT_EQ(commands_[0].second.context.sessionId, 500);
  EXPECT_EQ(commands_[0].second.context.sequence, 0);
  const auto request = registration(0);
  EXPECT_EQ(request.path, "/w");
  EXPECT_EQ(request.scope, api::WatchScope::SUBTREE);
  EXPECT_EQ(request.space, api::WatchSpace::BOTH);
  EXPECT_EQ(request.sinceRevision, 33);
  EXPECT_TRUE(request.withValues);
  EXPECT_EQ(request.filter, std::vector{api::EventType::KEY_REMOVED});
  answer_watch(0);
  EXPECT_EQ(started_, 33);
}

TEST_F(WatchTest, BegunBeforeTheFirstPollIsAnsweredIsRegisteredAfterIt) {
  mute_polls_ = true;
  open();
  watch();
  EXPECT_TRUE(commands_.empty());
  answer_poll(0);
  EXPECT_EQ(commands_.size(), 1u);
}

TEST_F(WatchTest, OnAnotherServerItGoesOnAfterTheLastRevisionThatWasWhole) {
  watch_stands();
  tell({delivery(50, {event("/w")}),
        delivery(60, {event("/w", 2)}, api::DeliveryKind::EVENTS, true)});
  lose_a();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].first, &b_);
  EXPECT_EQ(registration(1).sinceRevision, 50);
  answer_watch(1);
  tell({delivery(60, {event("/w", 2), event("/w", 3)})});
  EXPECT_EQ(shown(), (Shown{"50: /w.1", "60: /w.2 /w.3"})) << "the part from before is dropped";
}

TEST_F(WatchTest, AProgressMarkIsAPlaceToGoOnFrom) {
  watch_stands();
  tell({}, 90);
  lose_a();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(registration(1).sinceRevision, 90);
}

TEST_F(WatchTest, ProgressIsToldOnceAndAscends) {
  watch_stands();
  const auto tell_later = [this](int64_t progress) {
    tell({}, progress);
    pass(100ms);  // who parks no poll is asked no sooner
  };
  tell_later(90);
  tell_later(90);
  tell({delivery(95, {event("/w")})});
  tell_later(95);
  tell_later(99);
  EXPECT_EQ(progress_, (std::vector<int64_t>{90, 99})) << "what was told is no news";
}

TEST_F(WatchTest, WhoHearsOfProgressMayEndOthers) {
  watch_stands();
  const int64_t first = watch_;
  watch();
  answer_watch(1, 6);
  on_progress_ = [&] {
    session_->unwatch(first);
    session_->unwatch(watch_);
  };
  tell({}, 90);
  EXPECT_EQ(progress_, std::vector<int64_t>{90});
}

TEST_F(WatchTest, AProgressMarkDoesNotSpeakOfYoungerWatches) {
  watch_stands();
  watch();
  answer_watch(1, 8);
  tell({}, 90);
  EXPECT_EQ(progress_, std::vector<int64_t>{90});
  lose_a();
  ASSERT_EQ(commands_.size(), 4u);
  std::multiset<int64_t> since = {registration(2).sinceRevision, registration(3).sinceRevision};
  EXPECT_EQ(since, (std::multiset<int64_t>{40, 90}));
}

// Neither has been shown to anybody: elsewhere both are told anew.
TEST_F(WatchTest, AProgressMarkDoesNotPassAPartOfAGroup) {
  watch_stands();
  tell({delivery(60, {event("/w")}, api::DeliveryKind::EVENTS, true)}, 90);
  lose_a();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(registration(1).sinceRevision, 40);
}

TEST_F(WatchTest, AProgressMarkDoesNotPassAResynchronisation) {
  watch_stands();
  tell({delivery(70, {}, api::DeliveryKind::RESYNC_BEGIN),
        delivery(70, {event("/w/a")}, api::DeliveryKind::RESYNC_STATE)},
       90);
  lose_a();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(registration(1).sinceRevision, 40);
}

TEST_F(WatchTest, AServerThatWasRestartedIsToldAgain) {
  watch_stands();
  api::PollResult result;
  result.serverEpoch = 777;
  answer_poll(polls_.size() - 1, result);
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].first, &a_);
  EXPECT_EQ(registration(1).sinceRevision, 40);
}

TEST_F(WatchTest, ARegistrationThatWasLostIsRepeated) {
  open();
  watch();
  a_.cut();
  pass(300ms);
  ASSERT_GE(commands_.size(), 2u);
  answer_watch(commands_.size() - 1);
  EXPECT_EQ(started_, 40);
}

TEST_F(WatchTest, WhatStandsOnAServerThatIsPolledAgainIsStoppedThere) {
  watch_stands();
  lose_a();
  answer_watch(1);
  a_.up();
  pass(1100ms);
  b_.down();
  pass(200ms);
  ASSERT_EQ(polls_.back().first, &a_);
  EXPECT_EQ(a_.count("unwatch"), 1);
  EXPECT_EQ(a_.count("watch"), 2);
}

TEST_F(WatchTest, ARefusalEndsIt) {
  open();
  watch();
  commands_[0].first->refuse(commands_[0].second, api::ErrorCode::LIMIT_EXCEEDED, false);
  settle();
  EXPECT_EQ(watch_ended_, ErrorCode::kLimitExceeded);
  EXPECT_EQ(started_, 0);
  lose_a();
  EXPECT_EQ(commands_.size(), 1u);
}

TEST_F(WatchTest, APathThatNoCallMightCarryEndsTheWatchAlone) {
  open();
  session_->watch(std::string(8'193, 'p'), {},
                  {.ended = [this](const CallError& error) { watch_ended_ = error.code; }});
  EXPECT_FALSE(watch_ended_) << "from inside";
  settle();
  EXPECT_EQ(watch_ended_, ErrorCode::kTooLarge);
  EXPECT_TRUE(commands_.empty());
}

TEST_F(WatchTest, ARefusalThatMayPassIsWaitedOut) {
  open();
  watch();
  commands_[0].first->refuse(commands_[0].second, api::ErrorCode::OVERLOADED, true);
  settle();
  EXPECT_EQ(commands_.size(), 1u);
  pass(150ms);
  ASSERT_EQ(commands_.size(), 2u);
  answer_watch(1);
  EXPECT_EQ(started_, 40);
}

TEST_F(WatchTest, EndsWithItsSession) {
  watch_stands();
  refuse_poll(polls_.size() - 1, api::ErrorCode::SESSION_EXPIRED, false);
  EXPECT_EQ(watch_ended_, ErrorCode::kSessionExpired);
  watch_ended_.reset();
  watch();
  EXPECT_EQ(watch_ended_, ErrorCode::kSessionExpired) << "one begun afterwards, too";
}

TEST_F(WatchTest, EndsWhenItsSessionIsClosed) {
  watch_stands();
  session_->close([](const auto&) {});
  settle();
  EXPECT_EQ(watch_ended_, ErrorCode::kSessionExpired);
}

// -------------------------------------------------------------------------------- what is told

TEST_F(WatchTest, TellsEachRevisionAsOneBatchAndTheNextPollAcknowledges) {
  watch_stands();
  tell({delivery(50, {event("/w"), event("/w", 2)}), delivery(51, {event("/w", 3)})});
  EXPECT_EQ(shown(), (Shown{"50: /w.1 /w.2", "51: /w.3"}));
  EXPECT_EQ(polls_.back().second.request<api::PollRequest>().acknowledgedDelivery, delivery_);
}

TEST_F(WatchTest, AGroupInPartsIsShownWhenItIsWhole) {
  watch_stands();
  tell({delivery(50, {event("/w")}, api::DeliveryKind::EVENTS, true)});
  tell({delivery(50, {event("/w", 2)}, api::DeliveryKind::EVENTS, true)});
  EXPECT_TRUE(batches_.empty());
  tell({delivery(50, {event("/w", 3)})});
  EXPECT_EQ(shown(), (Shown{"50: /w.1 /w.2 /w.3"}));
}

TEST_F(WatchTest, AReplyThatComesAfterANewerPollIsNotTakenUp) {
  watch_stands();
  const size_t old = polls_.size() - 1;
  mute_polls_ = true;
  pass(from_ms(kTtlMs / 4) + 50ms);
  hear_from_a();
  pass(from_ms(kTtlMs / 16));
  ASSERT_EQ(polls_.size(), old + 2) << "the reply is overdue, and another server was asked";
  ASSERT_EQ(polls_[old].first, &a_);
  api::PollResult late;
  late.watches = {delivery(50, {event("/w")})};
  answer_poll(old, late);
  EXPECT_TRUE(batches_.empty());
  b_.down();
  pass(200ms);
  ASSERT_EQ(polls_.back().first, &a_);
  EXPECT_EQ(polls_.back().second.request<api::PollRequest>().acknowledgedDelivery, delivery_ - 1)
      << "the reply that was not taken up is acknowledged";
}

TEST_F(WatchTest, AResynchronisationIsShownWhenItIsWholeInTheOrderOfTheTree) {
  using Kind = api::DeliveryKind;
  using Type = api::EventType;
  watch_stands();
  tell({delivery(70, {}, Kind::RESYNC_BEGIN),
        delivery(70, {event("/w", 5, Type::KEY_CREATED), event("/w/b", 1, Type::KEY_CREATED)},
                 Kind::RESYNC_STATE)});
  tell({delivery(71, {event("/w", 6)}), delivery(72, {event("/w/b", 1, Type::KEY_REMOVED)}),
        delivery(73, {event("/w/b/c", 1, Type::KEY_CREATED), event("/w/b-", 1, Type::KEY_CREATED)},
                 Kind::RESYNC_STATE)});
  EXPECT_TRUE(batches_.empty());
  tell({delivery(74, {}, Kind::RESYNC_END), delivery(75, {event("/w", 7)})});
  EXPECT_EQ(shown(), (Shown{"state 74: /w.6 /w/b/c.1 /w/b-.1", "75: /w.7"}));
  EXPECT_EQ(batches_[0].events[0].eventType, Type::KEY_CREATED);
}

TEST_F(WatchTest, ASecondBeginningOfAResynchronisationBeginsAnew) {
  using Kind = api::DeliveryKind;
  watch_stands();
  tell({delivery(70, {}, Kind::RESYNC_BEGIN), delivery(70, {event("/w/a")}, Kind::RESYNC_STATE)});
  tell({delivery(80, {}, Kind::RESYNC_BEGIN), delivery(80, {event("/w/b")}, Kind::RESYNC_STATE),
        delivery(80, {}, Kind::RESYNC_END)});
  EXPECT_EQ(shown(), (Shown{"state 80: /w/b.1"}));
}

TEST_F(WatchTest, OneThatIsLeftInAResynchronisationGoesBackToWhereItWas) {
  watch_stands();
  tell({delivery(70, {}, api::DeliveryKind::RESYNC_BEGIN),
        delivery(70, {event("/w/a")}, api::DeliveryKind::RESYNC_STATE)});
  lose_a();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(registration(1).sinceRevision, 40);
  answer_watch(1);
  tell({delivery(80, {event("/w/b")})});
  EXPECT_EQ(shown(), (Shown{"80: /w/b.1"}));
}

TEST_F(WatchTest, LocksOfAResynchronisationComeAfterTheKeysOnePerHolder) {
  using Kind = api::DeliveryKind;
  watch_stands();
  const auto lock = [](int64_t holder, api::EventType::type type) {
    api::WatchEvent granted = event("/w", holder, type);
    granted.holderId = holder;
    return granted;
  };
  tell({delivery(70, {}, Kind::RESYNC_BEGIN),
        delivery(70,
                 {lock(3, api::EventType::LOCK_GRANTED), lock(2, api::EventType::LOCK_GRANTED),
                  lock(1, api::EventType::LOCK_GRANTED), event("/w/z", 9)},
                 Kind::RESYNC_STATE),
        delivery(71, {lock(2, api::EventType::LOCK_ENDED)}), delivery(71, {}, Kind::RESYNC_END)});
  EXPECT_EQ(shown(), (Shown{"state 71: /w/z.9 /w.1 /w.3"}));
}

// -------------------------------------------------------------------------------------- ending

TEST_F(WatchTest, AnEndedWatchIsStoppedOnItsServerAndTellsNothingMore) {
  watch_stands();
  session_->unwatch(watch_);
  settle();
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "unwatch");
  EXPECT_EQ(commands_[1].second.request<api::UnwatchRequest>().watchId, 7);
  tell({delivery(50, {event("/w")})});
  EXPECT_TRUE(batches_.empty());
  EXPECT_FALSE(watch_ended_);
}

TEST_F(WatchTest, OneThatEndsBeforeItStandsIsStoppedWhenItDoes) {
  open();
  watch();
  session_->unwatch(watch_);
  settle();
  EXPECT_EQ(commands_.size(), 1u);
  answer_watch(0);
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "unwatch");
  EXPECT_EQ(started_, 0);
}

TEST_F(WatchTest, MayEndItselfWhileItTells) {
  watch_stands();
  on_told_ = [this] { session_->unwatch(watch_); };
  tell({delivery(50, {event("/w")}), delivery(51, {event("/w", 2)})});
  EXPECT_EQ(shown(), (Shown{"50: /w.1"}));
}

TEST_F(WatchTest, MayCloseTheSessionWhileItTells) {
  watch_stands();
  on_told_ = [this] { session_->close([](const auto&) {}); };
  tell({delivery(50, {event("/w")}), delivery(51, {event("/w", 2)})});
  EXPECT_EQ(shown(), (Shown{"50: /w.1"}));
  EXPECT_EQ(watch_ended_, ErrorCode::kSessionExpired);
}

TEST_F(WatchTest, AWatchThatNobodyKnowsIsStopped) {
  watch_stands();
  api::WatchDelivery stray = delivery(50, {event("/w")});
  stray.watchId = 6;
  tell({stray});
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.request<api::UnwatchRequest>().watchId, 6);
  EXPECT_TRUE(batches_.empty());
}

TEST_F(WatchTest, OneThatNobodyKnowsIsStoppedByOneCallHoweverMuchItTells) {
  watch_stands();
  api::WatchDelivery stray = delivery(50, {event("/w")});
  stray.watchId = 6;
  tell({stray, stray, stray});
  tell({stray});
  ASSERT_EQ(commands_.size(), 2u);
  EXPECT_EQ(commands_[1].second.name, "unwatch");
  a_.reply(commands_[1].second, api::UnwatchResult());
  settle();
  tell({stray});
  EXPECT_EQ(commands_.size(), 3u) << "it goes on although it was stopped";
}

// A server that is asked to stop many goes on with what it has on its way.
TEST_F(WatchTest, WhetherOneIsBeingStoppedIsKnownAsFastHoweverManyAre) {
  watch_stands();
  int64_t stopping = 0;
  const auto stop = [&](int64_t more) {
    std::vector<api::WatchDelivery> strays(static_cast<size_t>(more), delivery(50, {}));
    for (api::WatchDelivery& stray : strays) stray.watchId = 1'000 + ++stopping;
    tell(std::move(strays));
    const auto known = static_cast<size_t>(1 + stopping);
    for (int i = 0; i < 1'000 && commands_.size() < known; ++i) settle();
    EXPECT_EQ(commands_.size(), known);
  };
  const auto cost = [&] {
    std::vector<api::WatchDelivery> strays(2'000, delivery(50, {}));
    for (api::WatchDelivery& stray : strays) stray.watchId = 1'001;
    const double before = cpu_seconds();
    tell(std::move(strays));
    return cpu_seconds() - before;
  };
  stop(10);
  const double few = least_of(3, cost);
  stop(10'000);
  const double many = least_of(3, cost);
  EXPECT_LT(many, 10 * few) << few << " s with 10 being stopped, " << many << " s with 10,010";
}

TEST_F(WatchTest, OneThatWasEndedIsNotStoppedAgainForWhatItStillTells) {
  watch_stands();
  session_->unwatch(watch_);
  settle();
  tell({delivery(50, {event("/w")}), delivery(51, {event("/w", 2)})});
  EXPECT_EQ(commands_.size(), 2u);
}

}  // namespace
}  // namespace holdfast::client
