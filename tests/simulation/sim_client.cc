// The session of a model client: opened, renewed, lost, closed.
#include "tests/simulation/sim_client.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/hand.h"
#include "tests/simulation/watch_keeper.h"

namespace holdfast::sim {

namespace {

constexpr size_t kRangesMax = 8;

}  // namespace

SimClient::SimClient(Cluster cluster, int number, std::vector<Script> scripts)
    : cluster_(cluster),
      number_(number),
      name_("client " + std::to_string(number)),
      draws_(cluster.world.stream("client/" + std::to_string(number))),
      clock_(draw_clock(cluster.world, "c" + std::to_string(number),
                        cluster.world.weather().clock_ppm)),
      entropy_(static_cast<uint64_t>(cluster.world.weather().entropy) * 64 + 32 +
               static_cast<uint64_t>(number)),
      rpc_(cluster.world.weather().thrift != 0, number % 2 == 0),
      watches_(std::make_unique<WatchKeeper>(*this)),
      polls_(!draws_.chance(250)) {
  for (Script& script : scripts) {
    hands_.push_back(std::make_unique<Hand>(*this, std::move(script)));
  }
}

SimClient::~SimClient() = default;

void SimClient::start() {
  if (!dead_ && secret_.empty()) open();
}

void SimClient::quiesce() {
  quiescent_ = true;
  for (const auto& hand : hands_) hand->hurry();
  watches_->wake_all();
}

void SimClient::die(Duration reborn) {
  if (dead_) return;
  if (world().listens()) world().tell(name_, "dies");
  if (session_) left_behind_.push_back(session_);
  const bool parked = std::any_of(cluster_.nodes.begin(), cluster_.nodes.end(), [](SimNode* node) {
    return node->up() && node->engine().parked_polls() > 0;
  });
  if (parked) world().mark(Mark::kHalfOpen);
  // The process alone is gone, or its machine.
  if (draws_.chance(500)) {
    for (SimNode* node : cluster_.nodes) hang_up(*node, 1, calls_);
  }
  forget_session();
  dead_ = true;
  if (reborn <= 0ns) return;
  world().after(reborn, [this] {
    dead_ = false;
    open();
  });
}

void SimClient::pause(Duration length) {
  if (dead_) return;
  if (world().listens()) {
    world().tell(name_, "is paused for " + std::to_string(to_ms(length)) + " ms");
  }
  paused_until_ = std::max(paused_until_, world().now() + length);
}

// A belief needs no running process: what a paused one writes when it wakes is before its check().
bool SimClient::sure(Revision holder_id) const {
  if (dead_ || closing_) return false;
  const bool holds = std::any_of(hands_.begin(), hands_.end(),
                                 [&](const auto& hand) { return hand->holds(holder_id); });
  return holds && local_now() < handle_until(holder_id);
}

Instant SimClient::handle_until(Revision holder_id) const {
  Instant until = lease_until_;
  for (const int64_t named : {int64_t{0}, static_cast<int64_t>(holder_id.value)}) {
    const auto told = told_.find(named);
    if (told != told_.end()) until = std::min(until, told->second);
  }
  return until;
}

bool SimClient::idle() const {
  if (!session_) return false;
  return std::all_of(hands_.begin(), hands_.end(), [](const auto& hand) { return hand->idle(); });
}

std::string SimClient::busy_with() const {
  for (const auto& hand : hands_) {
    if (!hand->idle()) return name_ + " " + hand->describe_state();
  }
  return session_ ? std::string() : name_ + " has no session";
}

SessionId SimClient::session_of(int64_t client) const {
  const auto index = static_cast<size_t>(client) % all_->size();
  return (*all_)[index]->session();
}

const SimClient::Grant& SimClient::grant_of(int64_t client) const {
  return (*all_)[static_cast<size_t>(client) % all_->size()]->last_grant();
}

bool SimClient::session_is_over(const std::shared_ptr<const api::HoldfastError>& error) {
  if (error == nullptr || error->code != api::ErrorCode::SESSION_EXPIRED) return false;
  lost_session();
  return true;
}

void SimClient::note_told(const SimNode& node, const api::PollResult& result) const {
  watches_->emitted(node, result);
}

void SimClient::note_told(const SimNode& node, const api::WatchResult& result) const {
  watches_->emitted(node, result);
}

void SimClient::later(Duration delay, std::function<void()> then) {
  world().after(clock_.true_time(delay), [this, then = std::move(then), life = life_] {
    if (dead_ || life != life_) return world().uncount();
    if (world().now() >= paused_until_) return then();
    world().after(paused_until_ - world().now(), [this, then, life] {
      if (!dead_ && life == life_) then();
    });
  });
}

// To the next one, not to one that is drawn: a schedule whose draws are cut away must not bring a
// client back to the same dead server for ever.
void SimClient::switch_server() {
  server_ = static_cast<int>(static_cast<size_t>(server_) % cluster_.nodes.size() + 1);
  world().mark(Mark::kServerSwitched);
}

Call SimClient::number_call(Call call) {
  call.client = number_;
  call.number = ++calls_;
  return call;
}

void SimClient::hang_up(SimNode& node, uint64_t first, uint64_t last) {
  const Net::Kind kind{.lane = 0, .core = false, .ordered = false};
  cluster_.net.send(-number_, node.number(), kind,
                    [&node, client = number_, first, last] { node.hang_up(client, first, last); });
}

SimNode& SimClient::pick() {
  if (server_ == 0 || draws_.chance(50)) {
    server_ = static_cast<int>(1 + draws_.below(cluster_.nodes.size()));
  }
  return *cluster_.nodes[static_cast<size_t>(server_ - 1)];
}

void SimClient::done(int64_t sequence) {
  done_.insert(sequence);
  while (!done_.empty() && *done_.begin() == done_to_ + 1) {
    ++done_to_;
    done_.erase(done_.begin());
  }
}

api::RequestContext SimClient::context(int64_t sequence) const {
  api::RequestContext context;
  context.sessionId = static_cast<int64_t>(session_.value);
  context.sessionSecret = secret_;
  context.sequence = sequence;
  if (sequence == 0) return context;
  const auto add = [&](int64_t first, int64_t last) {
    api::SequenceRange range;
    range.first = first;
    range.last = last;
    context.acknowledged.push_back(range);
  };
  if (done_to_ > 0) add(1, done_to_);
  for (const int64_t each : done_) {
    if (context.acknowledged.size() == kRangesMax) break;
    add(each, each);
  }
  return context;
}

void SimClient::note(const api::ResponseHeader& header) {
  seen_revision_ = std::max(seen_revision_, header.revision);
  cluster_.ledger.answered(header.revision);
}

void SimClient::mark_error(const api::HoldfastError& error) {
  if (error.applied == api::Applied::NO && error.retryable) world().mark(Mark::kNotApplied);
  if (error.code == api::ErrorCode::OVERLOADED) world().mark(Mark::kOverloaded);
  if (error.code == api::ErrorCode::NO_SPACE) world().mark(Mark::kNoSpace);
  if (error.code == api::ErrorCode::NO_LEADER) world().mark(Mark::kNoLeader);
}

// ------------------------------------------------------------------------------------ session

void SimClient::open() {
  if (secret_.empty()) {
    secret_.resize(16);
    entropy_.fill(secret_.data(), secret_.size());
    open_floor_ = cluster_.ledger.newest();
    opens_ = 0;
  }
  ++opens_;
  api::OpenSessionRequest request;
  request.ttlMs = world().weather().ttl_ms;
  request.name = "client-" + std::to_string(number_);
  request.secret = secret_;
  const Instant sent = local_now();
  ask<api::OpenSessionRequest>(
      request, {}, 2s, [this, sent](const Outcome<api::OpenSessionResult>& outcome) {
        if (outcome.result != nullptr) return opened(*outcome.result, sent);
        if (outcome.error != nullptr && outcome.error->code == api::ErrorCode::SESSION_EXPIRED) {
          secret_.clear();
        }
        if (outcome.error != nullptr) mark_error(*outcome.error);
        later(50ms, [this] { open(); });
      });
}

void SimClient::opened(const api::OpenSessionResult& result, Instant sent) {
  note(result.header);
  cluster_.ledger.check_write(open_floor_, result.sessionId, name_ + "'s session");
  if (opens_ > 1) world().mark(Mark::kSessionFoundAgain);
  session_ = SessionId(static_cast<uint64_t>(result.sessionId));
  cluster_.ledger.opened(*this, session_);
  if (world().listens()) {
    world().tell(name_, "has session " + std::to_string(result.sessionId));
  }
  renewed(result.leaseMs, result.revocations, sent);
  renew();
  for (const auto& hand : hands_) hand->begin();
}

Duration SimClient::patience() const {
  const int64_t ttl = world().weather().ttl_ms;
  return from_ms(ttl / 4 + ttl / 8);
}

void SimClient::renew() {
  if (polls_) {
    poll();
  } else {
    keep_alive();
  }
}

void SimClient::poll() {
  api::PollRequest request;
  SimNode& server = pick();
  // What was taken up of that very server.
  request.acknowledgedDelivery = deliveries_[server.number()];
  request.pollNumber = ++poll_number_;
  request.maxWaitMs = world().weather().ttl_ms;
  request.acknowledgedNotices = notices_;
  const Instant sent = local_now();
  ask_at<api::PollRequest>(
      server, request, context(0), patience(),
      [this, sent, left = world().now()](const Outcome<api::PollResult>& outcome) {
        if (outcome.result != nullptr) {
          on_poll(*outcome.result, sent);
          return later(1ms, [this] { poll(); });
        }
        if (outcome.error != nullptr && outcome.error->code == api::ErrorCode::SESSION_EXPIRED) {
          return renewal_came_late(left);
        }
        if (outcome.error != nullptr) mark_error(*outcome.error);
        later(20ms, [this] { poll(); });
      });
}

void SimClient::on_poll(const api::PollResult& result, Instant sent) {
  note(result.header);
  deliveries_[result.header.serverId] = result.delivery;
  renewed(result.leaseMs, result.revocations, sent);
  watches_->answered(result);
  for (const api::GrantNotice& grant : result.grants) {
    for (const auto& hand : hands_) hand->hint(grant.acquireSequence);
  }
}

void SimClient::keep_alive() {
  const Instant sent = local_now();
  ask<api::KeepAliveRequest>(
      {}, context(0), patience(),
      [this, sent, left = world().now()](const Outcome<api::KeepAliveResult>& outcome) {
        Duration next = 20ms;
        if (outcome.result != nullptr) {
          note(outcome.result->header);
          renewed(outcome.result->leaseMs, outcome.result->revocations, sent);
          next = from_ms(world().weather().ttl_ms / 4);
        } else if (outcome.error != nullptr) {
          mark_error(*outcome.error);
          if (outcome.error->code == api::ErrorCode::SESSION_EXPIRED) {
            return renewal_came_late(left);
          }
        }
        later(next, [this] { keep_alive(); });
      });
}

// A reply that carries a notice renews the session but not the handles it names (ARCHITECTURE,
// revocation): they end at the earlier of their last deadline without notice and noticeMs after it.
void SimClient::renewed(int64_t lease_ms, const std::vector<api::RevocationNotice>& notices,
                        Instant sent) {
  for (const auto& hand : hands_) hand->check_deadline();
  notices_.clear();
  for (const api::RevocationNotice& notice : notices) {
    notices_.push_back(notice.noticeId);
    const int64_t drift = world().weather().drift_ppm;
    const int64_t notice_ms =
        std::max<int64_t>(0, notice.noticeMs - notice.noticeMs * drift / 1'000'000 - 1);
    const Instant end = std::min(lease_until_, local_now() + from_ms(notice_ms));
    if (!known_notices_.insert({notice.noticeId, notice.holderId}).second) continue;
    world().mark(Mark::kNoticeGiven);
    // Locks of one acquireAll share their holder id: the earliest notice ends the handle.
    const int64_t named = notice.path.empty() ? 0 : notice.holderId;
    const auto [told, fresh] = told_.emplace(named, end);
    if (!fresh) told->second = std::min(told->second, end);
  }
  if (lease_ms > 0) lease_until_ = std::max(lease_until_, sent + from_ms(lease_ms));
}

void SimClient::lost_session() {
  if (world().listens()) {
    world().tell(name_, "lost session " + std::to_string(session_.value));
  }
  if (local_now() > lease_until_ + from_ms(world().weather().ttl_ms / 2)) {
    world().mark(Mark::kPausedPastTtl);
  }
  forget_session();
  later(10ms, [this] { open(); });
}

void SimClient::renewal_came_late(Duration sent) {
  if (cluster_.ledger.ended_after(session_, sent)) world().mark(Mark::kRenewedBetween);
  lost_session();
}

void SimClient::forget_session() {
  ++life_;
  closing_ = false;
  for (const auto& hand : hands_) hand->drop();
  secret_.clear();
  session_ = SessionId{};
  sequence_ = done_to_ = 0;
  done_.clear();
  lease_until_ = Instant{};
  told_.clear();
  known_notices_.clear();
  deliveries_.clear();
  notices_.clear();
  last_grant_ = {};
  watches_ = std::make_unique<WatchKeeper>(*this);
}

void SimClient::close() {
  closing_ = true;
  const auto copies = std::make_shared<Copies>();
  command<api::CloseSessionRequest>({}, next_sequence(), false, copies,
                                    [this](const Outcome<api::CloseSessionResult>&) {
                                      forget_session();
                                      later(5ms, [this] { open(); });
                                    });
}

}  // namespace holdfast::sim
