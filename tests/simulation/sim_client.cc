#include "tests/simulation/sim_client.h"

#include <algorithm>

namespace holdfast::sim {

namespace {

SimClock make_clock(World& world) {
  const int64_t half = world.weather.drift_ppm / 2;
  const int64_t rate = half == 0 ? 0 : world.clocks.between(-half, half);
  return {world, rate, Duration(std::chrono::seconds(world.clocks.between(1, 100'000)))};
}

template <class Result>
const Result* result_of(const server::ReplyView* view) {
  return view == nullptr ? nullptr : std::get<const Result*>(*view);
}

}  // namespace

void Ledger::granted(World& world, int client, const std::string& path, int64_t token) {
  ++grants;
  world.trace(static_cast<uint64_t>(token));
  const auto other = other_holder(client, path);
  if (other) {
    throw Broken("I22: client " + std::to_string(client) + " was granted " + path + " (token " +
                 std::to_string(token) + ") while client " + std::to_string(*other) +
                 " still believes to hold it");
  }
  int64_t& last = last_token_[path];
  if (token <= last) {
    throw Broken("I11: token " + std::to_string(token) + " of " + path + " is not above " +
                 std::to_string(last));
  }
  last = token;
}

SimClient::SimClient(World& world, int number, std::vector<SimNode*>& nodes, Ledger& ledger)
    : world_(world),
      number_(number),
      nodes_(nodes),
      ledger_(ledger),
      clock_(make_clock(world)),
      entropy_(world.clients.next()) {}

void SimClient::start() { open(); }

void SimClient::die() {
  world_.log("client " + std::to_string(number_) + " dies");
  dead_ = true;
}

void SimClient::pause(Duration length) {
  world_.log("client " + std::to_string(number_) + " is paused for " +
             std::to_string(to_ms(length)) + " ms");
  paused_until_ = std::max(paused_until_, world_.now() + length);
}

// A belief needs no running process: what a paused one writes when it wakes is before its check().
bool SimClient::holds(const std::string& path) {
  if (path != path_ || (state_ != State::kHolding && state_ != State::kReleasing)) return false;
  if (state_ == State::kReleasing || dead_) return false;
  return clock_.now() < handle_until();
}

Instant SimClient::handle_until() const {
  Instant until = lease_until_;
  for (const int64_t named : {int64_t{0}, holder_}) {
    const auto told = told_.find(named);
    if (told != told_.end()) until = std::min(until, told->second);
  }
  return until;
}

void SimClient::later(Duration delay, std::function<void()> then) {
  world_.after(clock_.true_time(delay), [this, then = std::move(then), life = life_] {
    if (dead_ || life != life_) return;
    if (world_.now() >= paused_until_) return then();
    later(paused_until_ - world_.now(), then);
  });
}

SimNode& SimClient::pick() {
  if (last_server_ == 0 || world_.clients.chance(150)) {
    last_server_ = static_cast<int>(1 + world_.clients.below(nodes_.size()));
  }
  return *nodes_[static_cast<size_t>(last_server_ - 1)];
}

// A call over a network that may lose either way; `reply` is called once, with nothing at timeout.
void SimClient::ask(SimNode::Ask request, Duration timeout, Reply reply) {
  struct Pending {
    bool done = false;
  };
  auto pending = std::make_shared<Pending>();
  SimNode& node = pick();
  const auto travel = [this] {
    return Duration(std::chrono::microseconds(world_.net.between(30, world_.weather.delay_us_max)));
  };
  const int here = -number_;
  if (!world_.net.chance(world_.weather.loss_permille)) {
    world_.after(travel(), [this, &node, request, reply, pending, travel, here, life = life_] {
      if (world_.is_cut(here, node.number())) return;
      node.call(request, [this, &node, reply, pending, travel, here, life](
                             const server::ReplyView* view, const api::HoldfastError* error) {
        if (world_.net.chance(world_.weather.loss_permille)) return;
        // The answer is copied into bytes by the real server; here the view is kept by value.
        auto copy = std::make_shared<
            std::pair<std::optional<server::ReplyView>, std::optional<api::HoldfastError>>>();
        std::shared_ptr<void> owned;
        if (view != nullptr) {
          std::visit(
              [&](const auto* value) {
                auto kept = std::make_shared<std::decay_t<decltype(*value)>>(*value);
                copy->first = server::ReplyView(
                    static_cast<const std::decay_t<decltype(*value)>*>(kept.get()));
                owned = kept;
              },
              *view);
        } else {
          copy->second = *error;
        }
        world_.after(travel(), [this, &node, reply, pending, copy, owned, here, life] {
          if (world_.is_cut(node.number(), here) || pending->done || dead_ || life != life_) return;
          const Duration wait = paused_until_ - world_.now();
          const auto arrive = [reply, pending, copy, owned] {
            if (pending->done) return;
            pending->done = true;
            reply(copy->first ? &*copy->first : nullptr, copy->second ? &*copy->second : nullptr);
          };
          if (wait <= 0ns) return arrive();
          later(wait, arrive);
        });
      });
    });
  }
  later(timeout, [this, pending, reply] {
    if (pending->done) return;
    pending->done = true;
    last_server_ = 0;
    reply(nullptr, nullptr);
  });
}

api::RequestContext SimClient::context(int64_t sequence) const {
  api::RequestContext context;
  context.sessionId = session_;
  context.sessionSecret = secret_;
  context.sequence = sequence;
  if (sequence > 0 && done_to_ > 0) {
    api::SequenceRange range;
    range.first = 1;
    range.last = done_to_;
    context.acknowledged.push_back(range);
  }
  return context;
}

void SimClient::note(const api::ResponseHeader& header) {
  ++ledger_.acknowledged;
  ledger_.last_revision = std::max(ledger_.last_revision, header.revision);
}

// ------------------------------------------------------------------------------------ session

void SimClient::open() {
  if (secret_.empty()) {
    secret_.resize(16);
    entropy_.fill(secret_.data(), secret_.size());
  }
  api::OpenSessionRequest request;
  request.ttlMs = world_.weather.ttl_ms;
  request.name = "client-" + std::to_string(number_);
  request.secret = secret_;
  const Instant sent = clock_.now();
  ask([request](server::Engine& engine,
                server::CallId call) { engine.open_session(call, api::RequestContext{}, request); },
      3s,
      [this, sent](const server::ReplyView* view, const api::HoldfastError* error) {
        const auto* result = result_of<api::OpenSessionResult>(view);
        if (result == nullptr) {
          if (error != nullptr && error->code == api::ErrorCode::SESSION_EXPIRED) secret_.clear();
          return later(100ms, [this] { open(); });
        }
        note(result->header);
        session_ = result->sessionId;
        renewed(result->leaseMs, result->revocations, sent);
        poll();
        later(from_ms(world_.clients.between(1, 300)), [this] { act(); });
      });
}

void SimClient::poll() {
  api::PollRequest request;
  SimNode& node = pick();
  request.acknowledgedDelivery = deliveries_[node.number()];
  request.maxWaitMs = world_.weather.ttl_ms;
  request.acknowledgedNotices = notices_;
  const Duration patience = from_ms(world_.weather.ttl_ms / 4 + world_.weather.ttl_ms / 8);
  const Instant sent = clock_.now();
  ask([request, context = context(0)](server::Engine& engine,
                                      server::CallId call) { engine.poll(call, context, request); },
      patience,
      [this, sent](const server::ReplyView* view, const api::HoldfastError* error) {
        const auto* result = result_of<api::PollResult>(view);
        if (result != nullptr) {
          on_poll(*result, sent);
          return poll();
        }
        if (error != nullptr && error->code == api::ErrorCode::SESSION_EXPIRED) return expired();
        later(20ms, [this] { poll(); });
      });
}

void SimClient::on_poll(const api::PollResult& result, Instant sent) {
  note(result.header);
  deliveries_[result.header.serverId] = result.delivery;
  renewed(result.leaseMs, result.revocations, sent);
  for (const api::GrantNotice& grant : result.grants) {
    if (state_ == State::kWaiting && grant.acquireSequence == acquire_sequence_) acquire();
  }
}

// A reply that carries a notice renews the session but not the handles it names (ARCHITECTURE,
// revocation): they end at the earlier of their last deadline without notice and noticeMs after it.
void SimClient::renewed(int64_t lease_ms, const std::vector<api::RevocationNotice>& notices,
                        Instant sent) {
  notices_.clear();
  for (const api::RevocationNotice& notice : notices) {
    notices_.push_back(notice.noticeId);
    const int64_t notice_ms = std::max<int64_t>(0, notice.noticeMs - notice.noticeMs / 100 - 1);
    const Instant end = std::min(lease_until_, clock_.now() + from_ms(notice_ms));
    if (told_.emplace(notice.path.empty() ? 0 : notice.holderId, end).second) {
      ++world_.sometimes["a holder was told of its revocation"];
    }
  }
  if (lease_ms <= 0) return;
  lease_until_ = std::max(lease_until_, sent + from_ms(lease_ms));
}

void SimClient::expired() {
  world_.log("client " + std::to_string(number_) + " lost session " + std::to_string(session_));
  ++world_.sometimes["a session expired under its client"];
  if (state_ == State::kHolding && holds(path_)) {
    throw Broken("I22: session " + std::to_string(session_) + " ended while client " +
                 std::to_string(number_) + " still had a lease");
  }
  ++life_;
  secret_.clear();
  session_ = sequence_ = done_to_ = 0;
  lease_until_ = Instant{};
  state_ = State::kIdle;
  holder_ = 0;
  told_.clear();
  deliveries_.clear();
  notices_.clear();
  later(10ms, [this] { open(); });
}

// -------------------------------------------------------------------------------------- locks

void SimClient::act() {
  if (state_ == State::kIdle && !quiescent_) {
    path_ = "/lock/" +
            std::to_string(world_.clients.below(static_cast<uint64_t>(world_.weather.paths)));
    acquire_sequence_ = ++sequence_;
    const uint64_t kind = world_.clients.below(4);
    wait_ms_ = kind == 0 ? 0 : kind == 1 ? world_.clients.between(10, 3'000) : -1;
    state_ = State::kAcquiring;
    acquire();
  } else if (state_ == State::kWaiting) {
    acquire();  // the repeated acquire is the truth; poll is a hint
  } else if (state_ == State::kHolding) {
    release();
  }
  later(from_ms(world_.clients.between(5, 1'500)), [this] { act(); });
}

void SimClient::acquire() {
  api::AcquireRequest request;
  request.path = path_;
  request.waitMs = wait_ms_;
  request.enqueue = true;
  const int64_t sequence = acquire_sequence_;
  ask([request, context = context(sequence)](
          server::Engine& engine, server::CallId call) { engine.acquire(call, context, request); },
      2s,
      [this, sequence](const server::ReplyView* view, const api::HoldfastError* error) {
        const bool asking = state_ == State::kAcquiring || state_ == State::kWaiting;
        if (!asking || sequence != acquire_sequence_) return;
        const auto* result = result_of<api::AcquireResult>(view);
        if (result != nullptr) return on_acquire(*result);
        if (error != nullptr && error->code == api::ErrorCode::SESSION_EXPIRED) return expired();
        if (error != nullptr && !error->retryable) {
          throw Broken("an acquire was refused: " + error->message);
        }
        later(30ms, [this, sequence] {
          if (sequence == acquire_sequence_ && state_ == State::kAcquiring) acquire();
        });
      });
}

void SimClient::on_acquire(const api::AcquireResult& result) {
  note(result.header);
  switch (result.status) {
    case api::AcquireStatus::GRANTED:
      return believe(result.holderId, result.token);
    case api::AcquireStatus::WAITING:
      state_ = State::kWaiting;
      return;
    default:
      done_to_ = acquire_sequence_;
      state_ = State::kIdle;
      return;
  }
}

void SimClient::believe(int64_t holder, int64_t token) {
  state_ = State::kHolding;
  holder_ = holder;
  token_ = token;
  if (clock_.now() < handle_until()) ledger_.granted(world_, number_, path_, token);
  world_.log("client " + std::to_string(number_) + " holds " + path_ + " token " +
             std::to_string(token));
}

void SimClient::release() {
  state_ = State::kReleasing;
  const int64_t sequence = ++sequence_;
  api::ReleaseRequest request;
  request.path = path_;
  request.holderId = holder_;
  auto send = std::make_shared<std::function<void()>>();
  *send = [this, sequence, request, send] {
    ask(
        [request, context = context(sequence)](server::Engine& engine, server::CallId call) {
          engine.release(call, context, request);
        },
        2s,
        [this, sequence, send](const server::ReplyView* view, const api::HoldfastError* error) {
          if (state_ != State::kReleasing || sequence != sequence_) return;
          const auto* result = result_of<api::ReleaseResult>(view);
          if (error != nullptr && error->code == api::ErrorCode::SESSION_EXPIRED) return expired();
          if (result == nullptr) return later(30ms, [send] { (*send)(); });
          note(result->header);
          done_to_ = sequence;
          state_ = State::kIdle;
          holder_ = 0;
          *send = nullptr;
        });
  };
  (*send)();
}

}  // namespace holdfast::sim
