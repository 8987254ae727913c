#include "clients/cpp/holdfast.h"

#include <algorithm>

#include "clients/cpp/loop_thread.h"

namespace holdfast::client {

// -------------------------------------------------------------------------------------- guards

LockGuard& LockGuard::operator=(LockGuard&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  thread_ = std::move(other.thread_);
  session_ = std::move(other.session_);
  hold_ = std::move(other.hold_);
  refusal_ = std::move(other.refusal_);
  return *this;
}

LockGuard::~LockGuard() { give_back(); }

void LockGuard::give_back() {
  if (hold_ == nullptr) return;
  thread_->post([session = session_, hold = hold_] {
    hold->on_lost = nullptr;
    session->release(hold, [](const auto&) {});
  });
  hold_.reset();
}

Duration LockGuard::remaining() const {
  if (hold_ == nullptr) return Duration(0);
  const Instant now = thread_->now();
  return hold_->held(now) ? hold_->deadline() - now : Duration(0);
}

LostReason LockGuard::lost() const {
  return hold_ == nullptr ? LostReason::kReleased : hold_->lost(thread_->now());
}

void LockGuard::on_lost(std::function<void(LostReason)> callback) {
  if (hold_ == nullptr) return;
  thread_->post([hold = hold_, clock = thread_.get(), callback = std::move(callback)] {
    if (hold->state() == Hold::State::kEnded) return callback(hold->lost(clock->now()));
    hold->on_lost = callback;
  });
}

Outcome<api::ReleaseStatus::type> LockGuard::release() {
  if (hold_ == nullptr) return api::ReleaseStatus::NOT_HELD;
  const auto hold = std::exchange(hold_, nullptr);
  return thread_->wait<Outcome<api::ReleaseStatus::type>>(
      [session = session_, hold](auto done) { session->release(hold, done); });
}

Outcome<api::ReleaseStatus::type> LockGuard::hand_over(int64_t to) {
  if (hold_ == nullptr) return api::ReleaseStatus::NOT_HELD;
  return thread_->wait<Outcome<api::ReleaseStatus::type>>(
      [session = session_, hold = hold_, to](auto done) { session->hand_over(hold, to, done); });
}

Outcome<bool> LockGuard::set_value(const std::string& value) {
  if (hold_ == nullptr) return CallError{ErrorCode::kNotHeld, "the lock was given back"};
  return thread_->wait<Outcome<bool>>([session = session_, hold = hold_, value](auto done) {
    session->set_value(hold, value, done);
  });
}

// ------------------------------------------------------------------------------------- sessions

/// Closes the session when the last copy of the handle goes, and waits for that as long as close()
/// does: a client that ends right afterwards must not leave its locks to the TTL.
struct Session::Owned {
  std::shared_ptr<LoopThread> thread;
  std::shared_ptr<SessionCore> core;

  ~Owned() {
    const auto end = [session = core](auto done) {
      session->on_ended = nullptr;
      session->close(done);
    };
    if (thread->is_current()) {
      end([](const auto&) {});
    } else {
      // An error: nobody could be told, and the servers end it when its TTL has passed.
      static_cast<void>(thread->wait<Outcome<bool>>(end));
    }
  }
};

int64_t Session::id() const { return owned_->core->id(); }

Outcome<LockGuard> Session::acquire(const std::string& path, const LockOptions& options) {
  auto acquired = owned_->thread->wait<Outcome<Acquired>>(
      [core = owned_->core, path, options](auto done) { core->acquire(path, options, done); });
  if (!acquired) return acquired.error();
  LockGuard guard;
  guard.thread_ = owned_->thread;
  guard.session_ = owned_->core;
  guard.hold_ = acquired->hold;
  guard.refusal_ = acquired->result;
  return guard;
}

Outcome<LockGuard> Session::acquire_all(const std::vector<api::LockWanted>& locks,
                                        const LockOptions& options) {
  auto acquired =
      owned_->thread->wait<Outcome<Acquired>>([core = owned_->core, locks, options](auto done) {
        core->acquire_all(locks, options, done);
      });
  if (!acquired) return acquired.error();
  LockGuard guard;
  guard.thread_ = owned_->thread;
  guard.session_ = owned_->core;
  guard.hold_ = acquired->hold;
  guard.refusal_ = acquired->result;
  return guard;
}

Outcome<LockGuard> Session::campaign(const std::string& path, const std::string& value) {
  return acquire(path, {.wait_ms = -1, .value = value});
}

Outcome<std::string> Session::leader(const std::string& path) {
  return owned_->thread->wait<Outcome<std::string>>([core = owned_->core, path](auto done) {
    api::DescribeLockRequest request;
    request.path = path;
    core->read<DescribeLock>(request, [done](const auto& outcome, const auto&) {
      if (!outcome) return done(outcome.error());
      const auto& holders = outcome->lock.holders;
      done(holders.empty() ? std::string() : holders.front().value);
    });
  });
}

Keys Session::keys() const { return {owned_->thread, owned_->core}; }

Outcome<Watch> Session::watch(const std::string& path, const WatchOptions& options,
                              WatchHandlers handlers) {
  // It is over before it stands: then that is the answer, and `ended` is not called.
  const auto stands = std::make_shared<bool>(false);
  Watch watch;
  watch.thread_ = owned_->thread;
  watch.session_ = owned_->core;
  const auto begun = owned_->thread->wait<Outcome<int64_t>>([&, stands](auto done) {
    handlers.started = [stands, done](int64_t revision) {
      *stands = true;
      done(revision);
    };
    handlers.ended = [stands, done, ended = std::move(handlers.ended)](const CallError& error) {
      if (!*stands) return done(error);
      if (ended) ended(error);
    };
    watch.number_ = owned_->core->watch(path, options, std::move(handlers));
  });
  if (!begun) return begun.error();
  watch.revision_ = *begun;
  return watch;
}

Outcome<bool> Session::close() {
  return owned_->thread->wait<Outcome<bool>>(
      [core = owned_->core](auto done) { core->close(done); });
}

void Session::on_ended(std::function<void(const CallError&)> callback) {
  owned_->thread->post([core = owned_->core, callback] {
    if (core->ended_by()) return callback(*core->ended_by());
    core->on_ended = callback;
  });
}

// -------------------------------------------------------------------------------------- clients

Outcome<std::unique_ptr<Client>> Client::connect(const ClientOptions& options, Clock* clock) {
  auto client = std::make_unique<Client>();
  client->thread_ = LoopThread::make(clock);
  if (auto started = client->thread_->start(options); !started) return started.error();
  return client;
}

Outcome<Session> Client::open_session(const SessionOptions& options) {
  auto opened = thread_->wait<Outcome<std::shared_ptr<SessionCore>>>(
      [thread = thread_.get(), options](auto done) { thread->core().open_session(options, done); });
  if (!opened) return opened.error();
  Session session;
  session.owned_ = std::make_shared<Session::Owned>();
  session.owned_->thread = thread_;
  session.owned_->core = *opened;
  return session;
}

Outcome<bool> Client::check_token(const std::string& path, int64_t token) {
  return thread_->wait<Outcome<bool>>([thread = thread_.get(), path, token](auto done) {
    api::CheckTokenRequest request;
    request.path = path;
    request.token = token;
    thread->core().read<CheckToken>(request, [done](const auto& outcome, const auto&) {
      if (!outcome) return done(outcome.error());
      done(static_cast<bool>(outcome->current));
    });
  });
}

Outcome<api::LockInfo> Client::describe(const std::string& path) {
  return thread_->wait<Outcome<api::LockInfo>>([thread = thread_.get(), path](auto done) {
    api::DescribeLockRequest request;
    request.path = path;
    thread->core().read<DescribeLock>(request, [done](const auto& outcome, const auto&) {
      if (!outcome) return done(outcome.error());
      done(outcome->lock);
    });
  });
}

}  // namespace holdfast::client
