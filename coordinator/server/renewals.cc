#include "coordinator/server/renewals.h"

#include <algorithm>
#include <utility>

#include "session/session_table.h"

namespace holdfast::server {

using command::CommandKind;

namespace {

session::LeaseConfig lease_config(const EngineOptions& options) {
  session::LeaseConfig config;
  config.drift_ppm = options.drift_ppm;
  return config;
}

constexpr size_t kForwardedRenewalsMax = 20'000;  // of one message: 320 KB at most
/// A quorum round costs three servers some 100 us, a forwarded batch two of them 30 us, however
/// many renewals they carry.
constexpr Duration kRoundSpacing = 5ms;
constexpr Duration kForwardSpacing = 2ms;
constexpr int kBurst = 20;  // at once after a quiet time
/// Places of renewals that are over, which the queue for a leader may have besides.
constexpr size_t kStalePlaces = 1'000;

}  // namespace

Renewals::Renewals(Host& host, PeerCodec& codec, Commands& commands, Owner& owner)
    : host_(host),
      codec_(codec),
      commands_(commands),
      owner_(owner),
      keeper_(lease_config(host.options)),
      rounds_pace_(kRoundSpacing, kBurst),
      forwards_pace_(kForwardSpacing, kBurst) {}

// A ticket is slot and generation, so that a late answer of another server finds nobody.
// Generations begin at random: an answer to an earlier process finds nobody either.
uint64_t Renewals::park(const RenewalTarget& target) {
  if (free_.empty()) {
    free_.push_back(static_cast<uint32_t>(targets_.size()));
    targets_.emplace_back().generation = static_cast<uint32_t>(host_.entropy.next_u64());
  }
  const uint32_t at = free_.back();
  free_.pop_back();
  Slot& slot = targets_[at];
  slot.used = true;
  slot.sent_term = Term{};
  slot.target = target;
  const uint64_t ticket = ticket_of(at);
  deadlines_.add(ticket, slot.target.deadline);
  return ticket;
}

Renewals::Slot* Renewals::find(uint64_t ticket) {
  const auto at = static_cast<uint32_t>(ticket);
  if (at >= targets_.size()) return nullptr;
  Slot& slot = targets_[at];
  return slot.used && ticket_of(at) == ticket ? &slot : nullptr;
}

uint64_t Renewals::ticket_of(uint32_t at) const {
  return uint64_t{targets_[at].generation & 0x7fffffff} << 32 | at;
}

void Renewals::release(uint64_t ticket) {
  Slot& slot = targets_[static_cast<uint32_t>(ticket)];
  slot.used = false;
  ++slot.generation;
  free_.push_back(static_cast<uint32_t>(ticket));
}

// It had its effect on the lease, if it came to a leader.
void Renewals::withdraw(uint64_t ticket) {
  const Slot* slot = find(ticket);
  if (slot == nullptr) return;
  unapplied_.erase({slot->target.revision, ticket});
  release(ticket);
  ++stats_.refused;
}

// What was withdrawn or has waited in vain leaves its place behind: without a leader nobody else
// takes those away.
void Renewals::wait_for_leader(uint64_t ticket) {
  if (waiting_.size() >= 2 * pending() + kStalePlaces) {
    std::erase_if(waiting_, [this](uint64_t place) { return find(place) == nullptr; });
  }
  waiting_.push_back(ticket);
}

std::optional<uint64_t> Renewals::renew(const RenewalTarget& target,
                                        std::optional<uint64_t> instead_of) {
  ++stats_.received;
  if (instead_of) withdraw(*instead_of);
  // Nobody waits for its answer: no bound on calls is one on how many of these there are.
  if (target.kind == RenewalTarget::Kind::kUnseen && pending() >= host_.options.max_pending_reads) {
    ++stats_.refused;
    return std::nullopt;
  }
  const uint64_t ticket = park(target);
  if (host_.serving) {
    hand_to_keeper(ticket);
  } else {
    wait_for_leader(ticket);
  }
  return ticket;
}

void Renewals::hand_to_keeper(uint64_t ticket) {
  const RenewalTarget& target = find(ticket)->target;
  if (!has_its_secret(target)) return answer(ticket, {0, ErrorCode::kSessionUnknown});
  keeper_.renew(ticket, target.session, host_.clock.now(), answers_);
}

// Who leads and serves has applied every opening that a client was told of.
bool Renewals::has_its_secret(const RenewalTarget& target) const {
  if (!target.unchecked) return true;
  const session::Session* s = host_.machine.sessions().find(target.session);
  return s != nullptr && s->secret_hash == *target.unchecked;
}

void Renewals::flush() {
  take_answers();
  if (host_.serving) {
    for (const uint64_t ticket : waiting_) {
      if (find(ticket) != nullptr) hand_to_keeper(ticket);
    }
    waiting_.clear();
    take_answers();
    ask_round();
  } else if (const NodeId leader = host_.other_leader()) {
    forward_waiting(leader);
  }
  send_replies();
}

bool Renewals::wants_round() const {
  return round_in_flight_ == 0 && (keeper_.wants_round() || round_lost_);
}

void Renewals::ask_round() {
  if (!wants_round()) return;
  const Instant now = host_.clock.now();
  if (!hurry_ && !rounds_pace_.open(now)) return;
  rounds_pace_.begin(now);
  hurry_ = round_lost_ = false;
  ++stats_.rounds;
  round_in_flight_ = host_.new_read_context(ReadPurpose::kLeases);
  keeper_.round_started(round_in_flight_);
  host_.node->read_index(round_in_flight_);
}

void Renewals::on_read(uint64_t context, LogIndex index) {
  if (context != round_in_flight_) return;
  round_index_ = index;
  finish_round();
}

// What was committed when the round began must be applied here (raft/core/ready.h, 6): others may
// have applied the end of a session already and told of it.
void Renewals::finish_round() {
  if (!round_index_ || host_.applied < *round_index_) return;
  round_index_.reset();
  keeper_.round_done(std::exchange(round_in_flight_, 0), answers_);
  take_answers();
  send_replies();
}

// What the round took along is confirmed by the next one that is answered.
void Renewals::on_read_failed(uint64_t context) {
  if (context != round_in_flight_) return;
  round_in_flight_ = 0;
  round_lost_ = true;
}

void Renewals::decide(Instant handled_until) {
  if (!host_.serving) return;
  // What finds no room in the log is decided once there is some.
  const bool room = host_.budget.left(LogBudget::Use::kFrees) > 0;
  if (room) propose_renew_entries();
  const Instant now = host_.clock.now();
  const Instant until = std::min(handled_until, now);
  if (until >= decided_until_) {
    decided_until_ = until;
    if (room) propose_marks(until);
    if (room) propose_expiries(until);
  }
  ask_round();
  undecided_.reset();
  if (decided_until_ >= now) return;
  const Instant due = keeper_.next_due(decided_until_);
  if (due > decided_until_ && due <= now) undecided_ = due;
}

void Renewals::propose_renew_entries() {
  while (keeper_.wants_renew_entry()) {
    sessions_.clear();
    const uint64_t entry = keeper_.take_renew_entry(sessions_);
    command::RenewLate body;
    for (const SessionId id : sessions_) body.sessionIds.push_back(static_cast<int64_t>(id.value));
    const uint64_t request = commands_.propose_own(CommandKind::RENEW_LATE, Term{}, body);
    own_.emplace(request, OwnEntry{CommandKind::RENEW_LATE, entry, {}, {}});
  }
}

void Renewals::propose_marks(Instant now) {
  while (true) {
    marks_.clear();
    keeper_.due(now, marks_);
    if (marks_.empty()) return;
    command::MarkLate body;
    for (const session::LateMark& mark : marks_) {
      command::LateSession late;
      late.sessionId = static_cast<int64_t>(mark.session.value);
      late.silentMs = mark.silent_ms;
      body.sessions.push_back(late);
    }
    const uint64_t request = commands_.propose_own(CommandKind::MARK_LATE, host_.soft.term, body);
    own_.emplace(request, OwnEntry{CommandKind::MARK_LATE, 0, {}, marks_});
  }
}

void Renewals::propose_expiries(Instant now) {
  while (true) {
    sessions_.clear();
    keeper_.take_expiries(
        now, [this](SessionId id) { return host_.machine.owned_by(id); }, rsm::kExpiryWorkMax,
        sessions_);
    if (sessions_.empty()) return;
    command::ExpireSessions body;
    for (const SessionId id : sessions_) body.sessionIds.push_back(static_cast<int64_t>(id.value));
    const uint64_t request =
        commands_.propose_own(CommandKind::EXPIRE_SESSIONS, host_.soft.term, body);
    own_.emplace(request, OwnEntry{CommandKind::EXPIRE_SESSIONS, 0, sessions_, {}});
  }
}

void Renewals::on_own_applied(uint64_t request) {
  const auto at = own_.find(request);
  if (at == own_.end()) return;
  if (at->second.kind == CommandKind::RENEW_LATE) {
    keeper_.renew_entry_applied(at->second.renew_entry, answers_);
    take_answers();
  } else if (at->second.kind == CommandKind::EXPIRE_SESSIONS) {
    keeper_.expiries_applied();
  }
  own_.erase(at);
}

void Renewals::on_own_refused(uint64_t request) {
  const auto at = own_.find(request);
  if (at == own_.end()) return;
  const Instant now = host_.clock.now();
  switch (at->second.kind) {
    case CommandKind::RENEW_LATE:
      keeper_.renew_entry_refused(at->second.renew_entry);
      break;
    case CommandKind::MARK_LATE:
      keeper_.marks_refused(at->second.marks, now);
      break;
    default:
      keeper_.expiries_refused(at->second.sessions, answers_);
      break;
  }
  own_.erase(at);
}

// From now on and not from the election: since then nobody could be answered, which may be long
// with much of the log still to be applied, and is no client's silence (PROMISE 6).
void Renewals::begin_leadership() {
  std::vector<session::LeaseSeed> seeds;
  std::vector<const session::Session*> page;
  SessionId after;
  do {
    page.clear();
    host_.machine.sessions().list(after, 1'000, page);
    for (const session::Session* s : page) {
      seeds.push_back({s->id, s->ttl_ms, s->late, s->silent_ms});
      after = s->id;
    }
  } while (!page.empty());
  keeper_.lead(host_.clock.now(), seeds);
}

void Renewals::end_leadership() {
  if (!keeper_.leading()) return;
  keeper_.step_down(answers_);
  own_.clear();
  round_in_flight_ = 0;
  round_index_.reset();
  round_lost_ = false;
  take_answers();
  send_replies();
}

// Handed on to the next leader besides, each would be there twice, and twice as often with every
// leader that comes and goes without having served.
void Renewals::forget_remote() {
  for (uint32_t at = 0; at < targets_.size(); ++at) {
    const Slot& slot = targets_[at];
    if (slot.used && slot.target.kind == RenewalTarget::Kind::kRemote) release(ticket_of(at));
  }
}

template <class Stale>
void Renewals::send_again(Stale&& stale) {
  for (uint32_t at = 0; at < targets_.size(); ++at) {
    Slot& slot = targets_[at];
    if (!slot.used || !slot.sent_term || !stale(slot)) continue;
    slot.sent_term = Term{};
    wait_for_leader(ticket_of(at));
  }
}

void Renewals::on_leader_changed() {
  send_again([this](const Slot& slot) { return slot.sent_term != host_.soft.term; });
}

void Renewals::on_leader_reconnected() {
  send_again([](const Slot&) { return true; });
}

void Renewals::on_effect(const rsm::Effect& effect) {
  if (!host_.serving) return;
  switch (effect.kind) {
    case rsm::EffectKind::kSessionOpened:
      keeper_.session_opened(effect.session, effect.ttl_ms, host_.clock.now());
      break;
    case rsm::EffectKind::kSessionEnded:
      keeper_.session_ended(effect.session, answers_);
      break;
    case rsm::EffectKind::kLateMarked:
      keeper_.late_marked(effect.session);
      break;
    case rsm::EffectKind::kLateRenewed:
      keeper_.late_renewed(effect.session);
      break;
    default:
      break;
  }
}

void Renewals::take_answers() {
  for (size_t i = 0; i < answers_.size(); ++i) {
    const session::RenewalAnswer a = answers_[i];
    Slot* slot = find(a.ticket);
    if (slot == nullptr) continue;
    using Outcome = session::RenewalAnswer::Outcome;
    if (a.outcome == Outcome::kRenewed) {
      wait_for_apply(a.ticket, {a.lease_ms, ErrorCode::kOk});
    } else if (a.outcome == Outcome::kEnded && !opens_later(a.session)) {
      answer(a.ticket, {0, ErrorCode::kSessionExpired});
    } else if (a.outcome == Outcome::kNotLeader &&
               slot->target.kind == RenewalTarget::Kind::kRemote) {
      answer(a.ticket, {0, ErrorCode::kNoLeader});
    } else {
      wait_for_leader(a.ticket);  // the next one, or this one for the session's opening
    }
  }
  answers_.clear();
}

// A follower may know a session before the leader has applied its opening.
bool Renewals::opens_later(SessionId session) const {
  return host_.machine.presence(session) == rsm::SessionPresence::kNotYet;
}

void Renewals::answer(uint64_t ticket, const Renewed& outcome) {
  const RenewalTarget target = find(ticket)->target;
  unapplied_.erase({target.revision, ticket});
  release(ticket);
  ++(outcome.lease_ms > 0 ? stats_.acknowledged : stats_.refused);
  if (target.kind != RenewalTarget::Kind::kRemote) return owner_.on_renewed(target, outcome);
  peer::RenewalReply reply;
  reply.request = static_cast<int64_t>(target.remote_request);
  reply.leaseMs = outcome.lease_ms;
  reply.code = static_cast<api::ErrorCode::type>(outcome.code);
  reply.revision = static_cast<int64_t>(host_.applied.value);
  replies_[target.remote_node].replies.push_back(reply);
}

void Renewals::forward_waiting(NodeId leader) {
  const Instant now = host_.clock.now();
  if (hurry_ ? pending() == 0 : waiting_.empty() || !forwards_pace_.open(now)) return;
  peer::RenewalBatch batch;
  batch.hurry = hurry_;
  std::vector<uint64_t> later;
  take_waiting(batch, later);
  if (batch.renewals.empty() && !hurry_) return waiting_.clear();
  const bool sent =
      host_.transport.send_app(leader, raft::Lane::kControl,
                               static_cast<uint8_t>(PeerKind::kRenewalBatch), codec_.encode(batch));
  if (!sent) return;
  forwards_pace_.begin(now);
  hurry_ = false;
  stats_.forwarded += batch.renewals.size();
  for (const peer::Renewal& item : batch.renewals) {
    find(static_cast<uint64_t>(item.request))->sent_term = host_.soft.term;
  }
  waiting_ = std::move(later);
}

void Renewals::take_waiting(peer::RenewalBatch& batch, std::vector<uint64_t>& later) {
  for (const uint64_t ticket : waiting_) {
    Slot* slot = find(ticket);
    if (slot == nullptr || slot->sent_term == host_.soft.term) continue;
    if (batch.renewals.size() == kForwardedRenewalsMax) {
      later.push_back(ticket);
      continue;
    }
    peer::Renewal item;
    item.request = static_cast<int64_t>(ticket);
    item.sessionId = static_cast<int64_t>(slot->target.session.value);
    if (const auto& hash = slot->target.unchecked) {
      item.__set_secretHash(std::string(hash->begin(), hash->end()));
    }
    batch.renewals.push_back(item);
  }
}

void Renewals::receive_batch(NodeId from, std::string_view bytes) {
  peer::RenewalBatch batch;
  if (!codec_.decode(bytes, batch)) return;
  if (batch.hurry) hurry();
  for (const peer::Renewal& item : batch.renewals) {
    RenewalTarget target;
    target.kind = RenewalTarget::Kind::kRemote;
    target.session = SessionId(static_cast<uint64_t>(item.sessionId));
    target.remote_node = from;
    target.remote_request = static_cast<uint64_t>(item.request);
    target.deadline = host_.clock.now() + 10s;
    if (item.__isset.secretHash) {
      auto& hash = target.unchecked.emplace();
      if (item.secretHash.size() != hash.size()) continue;  // nobody sends that
      std::ranges::copy(item.secretHash, hash.begin());
    }
    if (host_.soft.role == raft::Role::kLeader) {
      renew(target);
    } else {
      answer(park(target), {0, ErrorCode::kNoLeader});
    }
  }
}

void Renewals::send_replies() {
  if (replies_.empty()) return;
  for (const auto& [node, batch] : replies_) {
    host_.transport.send_app(node, raft::Lane::kControl,
                             static_cast<uint8_t>(PeerKind::kRenewalReplies), codec_.encode(batch));
  }
  replies_.clear();
}

void Renewals::receive_replies(NodeId, std::string_view bytes) {
  peer::RenewalReplies batch;
  if (!codec_.decode(bytes, batch)) return;
  for (const peer::RenewalReply& reply : batch.replies) {
    const auto ticket = static_cast<uint64_t>(reply.request);
    Slot* slot = find(ticket);
    if (slot == nullptr) continue;
    const auto code = static_cast<ErrorCode>(reply.code);
    if (code == ErrorCode::kNoLeader)
      continue;  // on_leader_changed() sends it again, or it expires
    // It was sent again, to the next leader: what that says takes the place of an earlier answer.
    unapplied_.erase({slot->target.revision, ticket});
    // Notices in force at the acknowledgement are part of the reply: this copy must know them.
    slot->target.revision =
        std::max(slot->target.revision, LogIndex(static_cast<uint64_t>(reply.revision)));
    wait_for_apply(ticket, {reply.leaseMs, code});
  }
}

void Renewals::wait_for_apply(uint64_t ticket, const Renewed& outcome) {
  if (find(ticket)->target.revision <= host_.applied) return answer(ticket, outcome);
  if (unapplied_.size() >= host_.options.max_pending_reads) {
    return answer(ticket, {0, ErrorCode::kOverloaded});
  }
  unapplied_.emplace(UnappliedKey{find(ticket)->target.revision, ticket}, outcome);
}

// An answer takes its own away, and brings no other.
void Renewals::on_applied() {
  finish_round();
  while (!unapplied_.empty() && unapplied_.begin()->first.first <= host_.applied) {
    const auto [key, outcome] = *unapplied_.begin();
    answer(key.second, outcome);
  }
}

void Renewals::sweep(Instant now) {
  deadlines_.take_due(now, [this](uint64_t ticket) {
    if (find(ticket) == nullptr) return;
    answer(ticket, {0, ErrorCode::kNoLeader});
  });
}

Instant Renewals::next_wakeup() const {
  const Instant now = host_.clock.now();
  Instant next = deadlines_.next();
  // What waits although its pace is open waits for something else than time.
  const auto consider = [&](const Pace& pace) {
    if (!pace.open(now)) next = std::min(next, pace.opens_at());
  };
  if (host_.serving) {
    // A deadline that waits for input to be handled waits for no time.
    if (!undecided_) next = std::min(next, keeper_.next_due(now));
    if (wants_round()) consider(rounds_pace_);
  } else if (!waiting_.empty() && host_.other_leader()) {
    consider(forwards_pace_);
  }
  return next;
}

// Another server's renewals wait there for the next leader: only this server stops.
void Renewals::shut_down() {
  for (uint32_t at = 0; at < targets_.size(); ++at) {
    if (!targets_[at].used) continue;
    const bool remote = targets_[at].target.kind == RenewalTarget::Kind::kRemote;
    answer(ticket_of(at), {0, remote ? ErrorCode::kNoLeader : ErrorCode::kShuttingDown});
  }
  send_replies();
}

}  // namespace holdfast::server
