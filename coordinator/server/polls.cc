#include "coordinator/server/polls.h"

#include <algorithm>

#include "lockmgr/lock_table.h"
#include "session/lease_keeper.h"
#include "session/session_table.h"

namespace holdfast::server {

namespace {

int64_t number(Revision revision) { return static_cast<int64_t>(revision.value); }

/// Of the operators' words in all notices of a reply.
constexpr size_t kNoticeWordsPerReply = 1 << 20;

/// Polls that are answered, within this time, because what their watches are known to have seen is
/// about to leave the history.
constexpr size_t kOutdatedAtOnce = 20;
constexpr Duration kOutdatedEvery = 10ms;

/// Longest that any poll parks (API, poll).
int64_t park_limit_ms(int64_t ttl_ms) { return std::min<int64_t>(ttl_ms / 4, 60'000); }

}  // namespace

// All of them each time, because a client takes one that is not there any more for over. What it
// has taken note of, or what would make the reply too large, is told without the operator's words.
void fill_revocations(const Host& host, SessionId session,
                      std::vector<api::RevocationNotice>& out) {
  out.clear();
  size_t words = 0;
  std::vector<lockmgr::Notice> notices;
  host.machine.notices_of(session, notices);
  for (const lockmgr::Notice& n : notices) {
    api::RevocationNotice notice;
    notice.noticeId = number(n.notice_id);
    notice.path.assign(n.path);
    notice.holderId = number(n.holder_id);
    // Only the servers know the bound on clock rates. The client counts the notice as it counts a
    // lease, so that it ends first (PROMISE 5).
    notice.noticeMs = session::lease_ms(n.notice_ms, host.options.drift_ppm);
    words += n.acknowledged ? 0 : n.reason.size();
    if (!n.acknowledged && words <= kNoticeWordsPerReply) notice.reason.assign(n.reason);
    out.push_back(std::move(notice));
  }
}

Polls::Polls(Host& host, WatchHub& hub)
    : host_(host),
      hub_(hub),
      time_(host),
      next_delivery_(static_cast<int64_t>(host.entropy.next_id() >> 1)) {}

// One that was sent on a connection that its client has given up may arrive after the next, and
// would have what that was told told again.
std::optional<Refusal> Polls::refuses(SessionId session, const api::PollRequest& request) const {
  const auto at = channels_.find(session);
  const int64_t newest = at == channels_.end() ? 0 : at->second.poll_number;
  if (request.pollNumber == 0 || request.pollNumber >= newest) return std::nullopt;
  return Refusal{ErrorCode::kSuperseded,
                 "a newer poll of this session has been here: number " + std::to_string(newest) +
                     ", this one is " + std::to_string(request.pollNumber),
                 false, false, 0};
}

std::optional<uint64_t>* Polls::arrive(CallId call, SessionId session,
                                       const api::PollRequest& request) {
  if (const auto refusal = refuses(session, request)) {
    host_.fail(call, *refusal, 0);
    return nullptr;
  }
  const auto [at, fresh] = channels_.try_emplace(session);
  Channel& channel = at->second;
  channel.poll_number = request.pollNumber;
  if (fresh) {
    channel.place = by_age_.insert(by_age_.end(), session);
    channel.told_through = host_.applied;
  }
  // Whose first poll here told nothing has still to be told where its watches stand.
  const bool owed = channel.state == Channel::State::kRenewing && channel.answer_at_once;
  fail_call(channel, session,
            {ErrorCode::kSuperseded, "a newer poll of this session arrived", false, false, 0});
  if (fresh) add_unacknowledged_grants(channel, session);
  drop_acknowledged(channel, request.acknowledgedDelivery);
  hub_.take_acknowledgement(session, request.acknowledgedDelivery);
  channel.state = Channel::State::kRenewing;
  channel.call = call;
  channel.arrived = host_.clock.now();
  channel.answer_at_once = fresh || owed || request.renewNow || request.maxWaitMs == 0;
  channel.max_wait_ms = request.maxWaitMs;
  urgent_ = urgent_ || has_news(channel, session);
  return &channel.renewal;
}

void Polls::drop_acknowledged(Channel& channel, int64_t delivery) {
  const bool ours = channel.first_delivery != 0 && delivery >= channel.first_delivery &&
                    delivery <= channel.delivery;
  if (!ours) return;
  std::erase_if(channel.notices, [delivery](const Told& told) {
    return told.delivery != 0 && told.delivery <= delivery;
  });
}

// A session that comes to this server may have been granted locks while nobody here listened.
void Polls::add_unacknowledged_grants(Channel& channel, SessionId session) {
  const session::Session* s = host_.machine.sessions().find(session);
  if (s == nullptr) return;
  for (const auto& [sequence, kept] : s->window.kept()) {
    const rsm::CommandResult& result = kept.result;
    const bool granted_later = !kept.waiting && result.token && result.token != result.id &&
                               result.status == static_cast<uint8_t>(rsm::AcquireStatus::kGranted);
    if (!granted_later) continue;
    rsm::Effect effect;
    effect.sequence = sequence;
    effect.holder_id = result.id;
    effect.token = result.token;
    const auto held = host_.machine.locks().find(session, sequence);
    if (held) effect.path.assign(held->path);
    add_grant(channel, effect);
  }
}

void Polls::renewed(CallId call, SessionId session, int64_t lease_ms) {
  const auto at = channels_.find(session);
  if (at == channels_.end() || at->second.call != call) return;
  Channel& channel = at->second;
  if (channel.state != Channel::State::kRenewing) return;
  channel.lease_ms = lease_ms;
  const session::Session* s = host_.machine.sessions().find(session);
  const bool news = hub_.has_news(session);
  const bool tell = channel.answer_at_once || (channel.outdated && !news);
  const bool parks = s != nullptr && host_.may_park();
  if (tell || !parks || has_notices(channel, session)) return answer(channel, session);
  // What watches tell may be large, and waits for its turn.
  if (news && due_.empty() && time_.left()) return answer(channel, session);
  park(channel, session, s->ttl_ms);
  if (news) make_due(channel, session);
}

void Polls::park(Channel& channel, SessionId session, int64_t ttl_ms) {
  const int64_t wait = std::min(channel.max_wait_ms, park_limit_ms(ttl_ms));
  channel.state = Channel::State::kParked;
  channel.park_until = channel.arrived + from_ms(wait);
  ++host_.parked;
  deadlines_.add(session.value, channel.park_until);
}

void Polls::make_due(Channel& channel, SessionId session) {
  if (!std::exchange(channel.due, true)) due_.push_back(session);
}

void Polls::renewal_failed(CallId call, SessionId session, const Refusal& refusal) {
  const auto at = channels_.find(session);
  if (at == channels_.end() || at->second.call != call) return;
  if (at->second.state == Channel::State::kRenewing) fail_call(at->second, session, refusal);
}

bool Polls::has_notices(const Channel& channel, SessionId session) const {
  if (!channel.notices.empty()) return true;
  std::vector<lockmgr::Notice> notices;
  host_.machine.notices_of(session, notices);
  return std::any_of(notices.begin(), notices.end(),
                     [&](const lockmgr::Notice& n) { return n.notice_id > channel.told_notice; });
}

void Polls::answer(Channel& channel, SessionId session) {
  api::PollResult& result = reply_.head;
  host_.fill(result.header, 0);
  result.leaseMs = channel.lease_ms;
  channel.delivery = ++next_delivery_;
  if (channel.first_delivery == 0) channel.first_delivery = channel.delivery;
  result.delivery = channel.delivery;
  result.grants.clear();
  result.losses.clear();
  size_t told = 0;
  for (Told& notice : channel.notices) {
    if (told == kNoticesPerReply) break;
    ++told;
    notice.delivery = channel.delivery;
    if (notice.is_grant) {
      result.grants.push_back(notice.grant);
    } else {
      result.losses.push_back(notice.loss);
    }
  }
  result.more = told < channel.notices.size();
  fill_revocations(host_, session, result.revocations);
  for (const api::RevocationNotice& n : result.revocations) {
    channel.told_notice =
        std::max(channel.told_notice, Revision(static_cast<uint64_t>(n.noticeId)));
  }
  // A renewal, and a lock that is granted or lost, do not wait for large values: the next poll
  // does.
  if (!hub_.has_news(session) || time_.left()) {
    hub_.collect(session, reply_);
    stands_at_applied(channel);
  } else {
    hub_.leave_out(reply_);
  }
  end_call(channel, session);
  host_.complete(channel.call, &reply_);
}

void Polls::stands_at_applied(Channel& channel) {
  channel.told_through = host_.applied;
  channel.outdated = false;
  by_age_.splice(by_age_.end(), by_age_, channel.place);
}

void Polls::forget(SessionId session) {
  const auto at = channels_.find(session);
  by_age_.erase(at->second.place);
  channels_.erase(at);
}

// Watches that had nothing to tell are known to have seen what had been applied when their last
// poll was answered. The client could go on from there at another server only as long as that one's
// history goes back so far, and would be told everything anew later. So a parked poll of the older
// half of the history is answered, which brings its client a mark of progress; and at once one that
// comes to stand there while its session asks nothing.
void Polls::answer_the_outdated(Instant now) {
  const watch::History& history = hub_.watches().history();
  if (history.first_position() == 0 || now - outdated_at_ < kOutdatedEvery) return;
  outdated_at_ = now;
  const Revision half = history.floor() + (history.last() - history.floor()) / 2;
  for (size_t left = kOutdatedAtOnce; left > 0 && !by_age_.empty() && time_.left(); --left) {
    const SessionId session = by_age_.front();
    Channel& channel = channels_.at(session);
    if (channel.told_through >= half) return;
    const bool watches = hub_.watches().watches_of(watch::OwnerId(session.value)) > 0;
    if (watches && channel.state == Channel::State::kParked) {
      answer(channel, session);
    } else {
      // It is answered after its renewal, as is the next one if none is here now.
      stands_at_applied(channel);
      channel.outdated = watches;
    }
  }
}

void Polls::end_call(Channel& channel, SessionId session) {
  if (channel.state == Channel::State::kParked) --host_.parked;
  channel.state = Channel::State::kNoCall;
  channel.due = false;
  if (channel.look_at <= host_.clock.now()) look_again(channel, session);
}

// One look ahead is enough, however fast a session polls.
void Polls::look_again(Channel& channel, SessionId session) {
  channel.look_at = channel.arrived + kForgetAfter;
  deadlines_.add(session.value, channel.look_at);
}

void Polls::add_grant(Channel& channel, const rsm::Effect& effect) {
  Told told;
  told.is_grant = true;
  told.grant.acquireSequence = static_cast<int64_t>(effect.sequence.value);
  told.grant.path = effect.path;
  told.grant.holderId = number(effect.holder_id);
  told.grant.token = number(effect.token);
  channel.notices.push_back(std::move(told));
}

void Polls::wake(SessionId session) {
  const auto at = channels_.find(session);
  if (at != channels_.end() && at->second.state == Channel::State::kParked) {
    answer(at->second, session);
  }
}

void Polls::answer_the_due() {
  if (hub_.waking()) {
    hub_.wake([this](SessionId session) {
      const auto at = channels_.find(session);
      if (at == channels_.end()) return;
      urgent_ = urgent_ || at->second.state == Channel::State::kRenewing;
      if (at->second.state == Channel::State::kParked) make_due(at->second, session);
    });
  }
  // What was answered earlier in the turn, or took time then, is not to be at their expense.
  time_.begin();
  for (; !due_.empty() && time_.left(); due_.pop_front()) {
    const auto at = channels_.find(due_.front());
    if (at != channels_.end() && at->second.due) answer(at->second, due_.front());
  }
}

void Polls::on_effect(const rsm::Effect& effect) {
  using rsm::EffectKind;
  const auto at = channels_.find(effect.session);
  if (at == channels_.end()) return;
  Channel& channel = at->second;
  if (effect.kind == EffectKind::kSessionEnded) {
    fail_call(channel, effect.session,
              {ErrorCode::kSessionExpired,
               "session " + std::to_string(effect.session.value) + " has ended", false, false, 0});
    forget(effect.session);
  } else if (effect.kind == EffectKind::kGranted) {
    // A grant in the acquire's own entry is told by its answer. Of an acquireAll the first is told.
    const bool own_entry = effect.holder_id == effect.revision;
    const bool again =
        !channel.notices.empty() && channel.notices.back().is_grant &&
        channel.notices.back().grant.acquireSequence == static_cast<int64_t>(effect.sequence.value);
    if (own_entry || again) return;
    add_grant(channel, effect);
    trim(effect.session, channel);
  } else if (effect.kind == EffectKind::kTenureEnded &&
             effect.end_reason == lockmgr::EndReason::kRevoked) {
    Told told;
    told.loss.path = effect.path;
    told.loss.holderId = number(effect.holder_id);
    told.loss.token = number(effect.token);
    told.loss.reason = static_cast<api::EndReason::type>(effect.end_reason);
    channel.notices.push_back(std::move(told));
    trim(effect.session, channel);
  } else if (effect.kind == EffectKind::kRevocationAnnounced) {
    wake(effect.session);
  }
}

void Polls::trim(SessionId session, Channel& channel) {
  if (channel.state == Channel::State::kParked) return answer(channel, session);
  urgent_ = urgent_ || channel.state == Channel::State::kRenewing;
  if (channel.state == Channel::State::kNoCall && channel.notices.size() > kNoticesMax) {
    forget(session);
  }
}

void Polls::sweep(Instant now) {
  answer_the_outdated(now);
  deadlines_.take_due(now, [&](uint64_t key) {
    const SessionId session(key);
    const auto at = channels_.find(session);
    if (at == channels_.end()) return;
    Channel& channel = at->second;
    if (channel.state == Channel::State::kParked && channel.park_until <= now) {
      answer(channel, session);
    } else if (channel.state == Channel::State::kNoCall && channel.arrived + kForgetAfter <= now) {
      forget(session);
    } else if (channel.state == Channel::State::kNoCall && channel.look_at <= now) {
      look_again(channel, session);
    }
  });
}

void Polls::fail_call(Channel& channel, SessionId session, const Refusal& refusal) {
  if (channel.state == Channel::State::kNoCall) return;
  end_call(channel, session);
  host_.fail(channel.call, refusal, 0);
}

void Polls::shut_down() {
  std::vector<SessionId> sessions;
  for (const auto& [session, channel] : channels_) sessions.push_back(session);
  std::sort(sessions.begin(), sessions.end());
  for (const SessionId session : sessions) {
    Channel& channel = channels_.at(session);
    // One that still waits for its renewal is answered by the renewal lane.
    if (channel.state == Channel::State::kParked) answer(channel, session);
  }
}

}  // namespace holdfast::server
