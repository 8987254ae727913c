// holdfast lock, holdfast elect: run a program while a lock is held.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/net/signal_watcher.h"
#include "base/net/timer.h"
#include "clients/cli/child.h"
#include "clients/cli/cluster.h"
#include "clients/cli/command.h"
#include "clients/cli/output.h"
#include "clients/cpp/session_core.h"

namespace holdfast::cli {

namespace {

using client::Acquired;
using client::CallError;
using client::Hold;
using client::LockOptions;
using client::SessionCore;

constexpr int64_t kTtlMsDefault = 10'000;
constexpr Duration kLook = 20ms;

int usage_error(const std::string& message) {
  std::fprintf(stderr, "holdfast: %s\n", message.c_str());
  return kUsage;
}

/// How a lock is asked for and for how long it is kept after its client fell silent.
struct Wish {
  std::string path;
  LockOptions lock;
  client::SessionOptions session;
};

std::string default_name() {
  char host[256] = "?";
  gethostname(host, sizeof host - 1);
  return "holdfast-" + std::to_string(getpid()) + "@" + host;
}

Result<Wish> wish_of(const Arguments& arguments) {
  Wish wish;
  wish.path = arguments.positional()[0];
  const auto ttl = arguments.duration_ms("ttl", kTtlMsDefault);
  if (!ttl.ok()) return ttl.error();
  const auto wait = arguments.duration_ms("wait", -1);
  if (!wait.ok()) return wait.error();
  const auto permits = arguments.number("permits", 1, 1, 1'000'000);
  if (!permits.ok()) return permits.error();
  const auto limit = arguments.number("semaphore", 0, 1, 1'000'000);
  if (!limit.ok()) return limit.error();
  const auto delay = arguments.duration_ms("lock-delay", 0);
  if (!delay.ok()) return delay.error();
  wish.session.ttl = from_ms(*ttl);
  wish.session.name = arguments.text("name", default_name());
  wish.session.attributes = {{"pid", std::to_string(getpid())}};
  wish.lock.wait_ms = arguments.has("try") ? 0 : *wait;
  wish.lock.value = arguments.text("value", "");
  wish.lock.lock_delay_ms = *delay;
  if (arguments.has("shared")) wish.lock.mode = api::LockMode::SHARED;
  if (*limit > 0) {
    wish.lock.mode = api::LockMode::SEMAPHORE;
    wish.lock.limit = static_cast<int32_t>(*limit);
    wish.lock.permits = static_cast<int32_t>(*permits);
  }
  return wish;
}

std::map<std::string, std::string> environment_of(const Wish& wish, const Hold& hold,
                                                  const SessionCore& session) {
  return {{"HOLDFAST_LOCK", wish.path},
          {"HOLDFAST_TOKEN", std::to_string(hold.token)},
          {"HOLDFAST_HOLDER", std::to_string(hold.holder_id)},
          {"HOLDFAST_SESSION", std::to_string(session.id())}};
}

/// The child and the lock it runs under: whoever ends first ends the other.
class Guarded {
 public:
  Guarded(Cluster& cluster, std::shared_ptr<Hold> hold, Duration ttl)
      : cluster_(cluster), hold_(std::move(hold)), margin_(std::min<Duration>(ttl / 4, 2s)) {
    hold_->on_lost = [this](client::LostReason reason) { lost(reason); };
  }
  ~Guarded() { hold_->on_lost = nullptr; }

  int run(const std::vector<std::string>& command,
          const std::map<std::string, std::string>& environment) {
    const int error = child_.start(command, environment);
    if (error != 0) {
      std::fprintf(stderr, "holdfast: %s: %s\n", command[0].c_str(), std::strerror(error));
      return kNoChild;
    }
    const net::SignalWatcher signals(cluster_.loop(), {SIGINT, SIGTERM, SIGHUP, SIGQUIT},
                                     [this](int number) { child_.signal(number); });
    net::Timer look(cluster_.loop(), [this] { watch_deadline(); });
    look.arm_every(kLook);
    while (!child_.ended()) cluster_.loop().turn(kLook);
    return lost_ ? kLost : child_.exit_code();
  }

 private:
  // SIGTERM leaves the child time to stop by itself; at the deadline it must be gone, because from
  // then on the servers may give the lock to another.
  void watch_deadline() {
    const Instant now = cluster_.loop().clock().now();
    if (!hold_->held(now)) return lost(hold_->lost(now));
    if (now + margin_ < hold_->deadline()) {
      warned_ = false;
    } else if (!warned_) {
      warned_ = true;
      std::fprintf(stderr, "holdfast: the lock is about to be lost; stopping the child\n");
      child_.signal(SIGTERM);
    }
  }

  void lost(client::LostReason reason) {
    child_.signal(SIGKILL);
    if (lost_) return;
    lost_ = true;
    std::fprintf(stderr, "holdfast: lost the lock (%s); the child was killed\n",
                 client::lost_reason_name(reason));
  }

  Cluster& cluster_;
  std::shared_ptr<Hold> hold_;
  const Duration margin_;
  Child child_;
  bool warned_ = false;
  bool lost_ = false;
};

int not_granted(const Wish& wish, const api::AcquireResult& result) {
  std::string holders;
  for (const api::LockHolder& holder : result.holders) {
    holders += (holders.empty() ? "" : ", ") + holder.sessionName;
  }
  std::fprintf(stderr, "holdfast: %s was not granted%s%s\n", wish.path.c_str(),
               holders.empty() ? "" : "; held by ", holders.c_str());
  return kNotGranted;
}

int run_under(Cluster& cluster, const Wish& wish, const std::shared_ptr<SessionCore>& session,
              const Arguments& arguments) {
  const auto acquired = cluster.wait<Acquired>(
      [&](const SessionCore::AcquireDone& done) { session->acquire(wish.path, wish.lock, done); });
  if (!acquired) return fail(acquired.error());
  if (acquired->hold == nullptr) return not_granted(wish, acquired->result);
  const std::shared_ptr<Hold> hold = acquired->hold;
  if (arguments.has("verbose")) {
    std::fprintf(stderr, "holdfast: holding %s, token %ld\n", wish.path.c_str(), hold->token);
  }
  return Guarded(cluster, hold, wish.session.ttl)
      .run(arguments.child(), environment_of(wish, *hold, *session));
}

int run_lock(const Arguments& arguments) {
  if (arguments.positional().size() != 1) return usage_error("one PATH is needed before --");
  if (arguments.child().empty()) return usage_error("a command is needed behind --");
  const auto wish = wish_of(arguments);
  if (!wish.ok()) return usage_error(wish.error().message);
  auto cluster = Cluster::clients(arguments);
  if (!cluster) return fail(cluster.error());
  const auto session = (*cluster)->open_session(wish->session);
  if (!session) return fail(session.error());
  const int code = run_under(**cluster, *wish, *session, arguments);
  // Everything the session has goes with it at once; if no server can be told, its TTL ends it.
  static_cast<void>((*cluster)->wait<bool>([&](auto done) { (*session)->close(done); }));
  return code;
}

std::vector<OptionSpec> lock_options() {
  return {
      {"ttl", "TIME", "the lock outlives this process by at most this long (10s)"},
      {"wait", "TIME", "give up after waiting this long; without it, wait for ever"},
      {"try", nullptr, "do not wait at all"},
      {"shared", nullptr, "together with other shared holders"},
      {"semaphore", "LIMIT", "the lock has LIMIT permits"},
      {"permits", "N", "with --semaphore: take N of them (1)"},
      {"value", "TEXT", "publish this with the holder, e.g. an address"},
      {"lock-delay", "TIME", "keep the lock closed this long if this session expires"},
      {"name", "TEXT", "name of the session, for people"},
      {"verbose", nullptr, "say when the lock is held"},
  };
}

}  // namespace

std::vector<Command> lock_commands() {
  const std::string how =
      "The child's environment has HOLDFAST_TOKEN, the fencing token: pass it to whatever the "
      "child\n"
      "writes to, so that a resource can refuse a holder that has been overtaken. The child gets\n"
      "SIGTERM shortly before the lock could be lost and SIGKILL, with its whole process group, "
      "at\n"
      "the deadline.\n\n"
      "Exit code: the child's (128 + N if signal N ended it); 75 not granted; 76 lost while the\n"
      "child ran; 127 no such program; 1 the cluster refused or was not reached; 2 usage.\n\n";
  return {
      {"lock", "PATH [options] -- COMMAND [ARGUMENT ...]", "run a command while holding a lock",
       "Acquires the lock PATH, runs COMMAND, and releases it when COMMAND ends.\n" + how +
           "  holdfast lock /jobs/nightly -- ./nightly.sh\n"
           "  holdfast lock /jobs/nightly --try -- ./nightly.sh || echo busy\n"
           "  holdfast lock /gpu --semaphore 4 -- ./train.sh\n",
       lock_options(), &run_lock},
      {"elect", "PATH --value ADDRESS [options] -- COMMAND [ARGUMENT ...]",
       "campaign for leadership; run a command while leading",
       "The same as `lock`, with the value that others read to find the leader.\n" + how +
           "  holdfast elect /services/billing/leader --value 10.0.0.7:9000 -- ./billing\n",
       lock_options(), &run_lock},
  };
}

}  // namespace holdfast::cli
