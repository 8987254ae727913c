// A model client: keeps a session by polling or keepAlive, lets its hands work in it, retries with
// the same sequence until it knows, counts its own deadline on its own clock from when it SENT a
// renewal, and believes to hold a lock exactly as long as the client libraries would (PROMISES 4
// and 5). Its session is in sim_client.cc, what a hand does in hand.cc.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/ledger.h"
#include "tests/simulation/net.h"
#include "tests/simulation/recorder.h"
#include "tests/simulation/rpc.h"
#include "tests/simulation/sim_node.h"
#include "tests/simulation/world.h"

namespace holdfast::sim {

class Hand;
class WatchKeeper;

/// What the clients of a run share.
struct Cluster {
  World& world;
  Net& net;
  std::vector<SimNode*>& nodes;
  History& history;
  Ledger& ledger;
  Recorder& recorder;
};

/// The copies of one command.
struct Copies {
  int64_t floor = -1;  ///< newest revision answered to anybody when the first copy left
  int sent = 0;
  int refused = 0;  ///< answered NOT APPLIED
};

class SimClient final : public Believer {
 public:
  SimClient(Cluster cluster, int number, std::vector<Script> scripts);
  ~SimClient();

  void start();
  /// Begins no further operation and gives back what it has.
  void quiesce();
  /// The process ends; a new one begins `reborn` later, never if that is zero.
  void die(Duration reborn);
  void pause(Duration length);
  /// Reads no answers for so long.
  void stop_reading(Duration length) { deaf_until_ = world().now() + length; }

  // Believer
  bool sure(Revision holder_id) const override;
  Instant local_now() const override { return clock_.at(cluster_.world.now()); }
  bool running() const override { return !dead_; }
  int number() const override { return number_; }

  bool idle() const;
  std::string busy_with() const;
  SessionId session() const override { return session_; }
  /// Sessions of processes that ended.
  const std::vector<SessionId>& left_behind() const { return left_behind_; }

  // --- For its hands.

  World& world() const { return cluster_.world; }
  Ledger& ledger() const { return cluster_.ledger; }
  History& history() const { return cluster_.history; }
  Stream& draws() const { return draws_; }
  const std::string& name() const { return name_; }
  bool quiescent() const { return quiescent_; }
  int64_t next_sequence() { return ++sequence_; }
  /// Its result is known: the servers may forget it.
  void done(int64_t sequence);
  int64_t last_revision() const { return seen_revision_; }
  SessionId session_of(int64_t client) const;
  /// Runs `then` after `delay` on its own clock, unless the session is another by then.
  void later(Duration delay, std::function<void()> then);
  Instant handle_until(Revision holder_id) const;
  bool under_notice(Revision holder_id) const {
    return told_.contains(static_cast<int64_t>(holder_id.value));
  }
  void close();
  void introduce(std::vector<SimClient*>* all) { all_ = all; }
  /// The lock last granted to this client in its session, and the holder id; or to another client.
  using Grant = std::pair<std::string, int64_t>;
  void granted(const std::string& path, int64_t holder_id) { last_grant_ = {path, holder_id}; }
  const Grant& last_grant() const { return last_grant_; }
  const Grant& grant_of(int64_t client) const;

  WatchKeeper& watches() { return *watches_; }
  bool polls() const { return polls_; }
  SimNode& node(int number) const { return *cluster_.nodes[static_cast<size_t>(number - 1)]; }
  /// The server to ask next.
  SimNode& pick();
  /// The same, after the last one is no longer asked.
  SimNode& pick_another() {
    switch_server();
    return pick();
  }
  /// The error says so: the session and all of it are dropped.
  bool session_is_over(const std::shared_ptr<const api::HoldfastError>& error);

  /// A call with or without a session, once. `reply` is called once.
  template <class Request>
  void ask(const Request& request, const api::RequestContext& context, Duration timeout,
           std::function<void(const Outcome<ResultOf<Request>>&)> reply) {
    ask_at<Request>(pick(), request, context, timeout, std::move(reply));
  }
  template <class Request>
  void ask_at(SimNode& server, const Request& request, const api::RequestContext& context,
              Duration timeout, std::function<void(const Outcome<ResultOf<Request>>&)> reply);
  /// A command of the session: repeated until its outcome is known, or the session gone. With
  /// `give_up`: until then, or until every copy was answered NOT APPLIED (then nothing comes back).
  template <class Request>
  void command(const Request& request, int64_t sequence, bool give_up,
               std::shared_ptr<Copies> copies,
               std::function<void(const Outcome<ResultOf<Request>>&)> reply);
  api::RequestContext context(int64_t sequence) const;
  /// Every reply's header.
  void note(const api::ResponseHeader& header);

 private:
  void open();
  void opened(const api::OpenSessionResult& result, Instant sent);
  void renew();
  void poll();
  void keep_alive();
  void on_poll(const api::PollResult& result, Instant sent);
  void renewed(int64_t lease_ms, const std::vector<api::RevocationNotice>& notices, Instant sent);
  void lost_session();
  /// A renewal that left at `sent` was answered SESSION_EXPIRED.
  void renewal_came_late(Duration sent);
  void forget_session();
  void switch_server();
  Call number_call(Call call);
  /// The server learns that the connections of these calls are gone, unless that gets lost, too.
  void hang_up(SimNode& node, uint64_t first, uint64_t last);
  Duration patience() const;
  /// What a server promised with this answer, at the time it left.
  template <class Request>
  void note_promise(const Outcome<ResultOf<Request>>& outcome, SessionId session, Instant sent);
  void note_told(const SimNode& node, const api::PollResult& result) const;
  void note_told(const SimNode& node, const api::WatchResult& result) const;
  void mark_error(const api::HoldfastError& error);

  Cluster cluster_;
  const int number_;
  const std::string name_;
  Stream& draws_;
  SimClock clock_;
  SimEntropy entropy_;
  RpcClient rpc_;
  std::vector<std::unique_ptr<Hand>> hands_;
  std::vector<SimClient*>* all_ = nullptr;
  std::unique_ptr<WatchKeeper> watches_;

  bool dead_ = false;
  bool quiescent_ = false;
  bool closing_ = false;  ///< closeSession has left: nothing is sure any more
  bool polls_ = true;
  Duration paused_until_{0};
  Duration deaf_until_{0};
  uint64_t life_ = 0;  ///< of the session: what belongs to an ended one is ignored
  std::vector<SessionId> left_behind_;

  std::string secret_;
  int64_t open_floor_ = -1;
  int opens_ = 0;
  SessionId session_;
  int64_t sequence_ = 0;
  int64_t done_to_ = 0;  ///< all sequences up to here are done
  std::set<int64_t> done_;
  int64_t seen_revision_ = 0;
  Instant lease_until_;
  std::map<int, int64_t> deliveries_;
  int64_t poll_number_ = 0;  ///< one that was given up may arrive after the next
  int server_ = 0;
  uint64_t calls_ = 0;
  std::vector<int64_t> notices_;
  Grant last_grant_;
  /// When a handle under a notice ends at the latest, by holder id; 0: of the whole session. Kept
  /// for handles that this client learns of only later, which start under the notice.
  std::map<int64_t, Instant> told_;
  std::set<std::pair<int64_t, int64_t>> known_notices_;  ///< one id may name several holders
};

// ------------------------------------------------------------------------------------ templates

template <class Request>
void SimClient::ask_at(SimNode& server, const Request& request, const api::RequestContext& context,
                       Duration timeout,
                       std::function<void(const Outcome<ResultOf<Request>>&)> reply) {
  using Result = Outcome<ResultOf<Request>>;
  SimNode* node = &server;
  const auto call = std::make_shared<const Call>(number_call(rpc_.call(context, request)));
  const auto done = std::make_shared<bool>(false);
  const Instant sent = local_now();
  const size_t recorded = cluster_.recorder.asked(name_, context, request);
  const auto finish = [this, done, reply, recorded, life = life_](const Result& outcome) {
    if (*done || dead_ || life != life_) return;
    *done = true;
    cluster_.recorder.answered(recorded, outcome);
    reply(outcome);
  };
  // The answer is read when the process runs and reads.
  const auto take = [this, finish](const Answer& answer) {
    const Duration wait = std::max(paused_until_, deaf_until_) - world().now();
    if (wait <= 0ns) return finish(rpc_.read<Request>(answer));
    world().after(wait, [this, finish, answer] { finish(rpc_.read<Request>(answer)); });
  };
  const Net::Kind kind{.lane = 0, .core = false, .ordered = false};
  cluster_.net.send(-number_, node->number(), kind, [=, this] {
    if (!node->up()) {
      cluster_.net.send(node->number(), -number_, kind, [this, done, finish] {
        if (!*done) switch_server();
        finish({});
      });
      return;
    }
    node->call(*call, [=, this, life = life_](const Answer& answer) {
      const Result said = rpc_.read<Request>(answer);
      note_promise<Request>(said, SessionId(static_cast<uint64_t>(context.sessionId)), sent);
      if constexpr (requires { said.result->serverEpoch; }) {
        if (said.result != nullptr && life == life_) note_told(*node, *said.result);
      }
      cluster_.net.send(node->number(), -number_, kind, [take, answer] { take(answer); });
    });
  });
  later(timeout, [this, node, call, done, finish] {
    if (*done) return;
    hang_up(*node, call->number, call->number);
    switch_server();
    finish({});
  });
}

template <class Request>
void SimClient::note_promise(const Outcome<ResultOf<Request>>& outcome, SessionId session,
                             Instant sent) {
  if constexpr (requires { outcome.result->leaseMs; }) {
    if (outcome.result == nullptr || outcome.result->leaseMs <= 0) return;
    if constexpr (requires { outcome.result->sessionId; }) {
      session = SessionId(static_cast<uint64_t>(outcome.result->sessionId));
      cluster_.ledger.opened(*this, session);
    }
    cluster_.ledger.promised(session, sent + from_ms(outcome.result->leaseMs));
  }
}

template <class Request>
void SimClient::command(const Request& request, int64_t sequence, bool give_up,
                        std::shared_ptr<Copies> copies,
                        std::function<void(const Outcome<ResultOf<Request>>&)> reply) {
  if (copies->floor < 0) copies->floor = cluster_.ledger.newest();
  ++copies->sent;
  ask<Request>(
      request, context(sequence), 2s, [=, this](const Outcome<ResultOf<Request>>& outcome) {
        if (outcome.result != nullptr) {
          note(outcome.result->header);
          return reply(outcome);
        }
        if (outcome.error != nullptr) {
          mark_error(*outcome.error);
          if (outcome.error->code == api::ErrorCode::SESSION_EXPIRED) {
            return lost_session();
          }
          if (outcome.error->applied == api::Applied::NO) ++copies->refused;
          if (!outcome.error->retryable) return reply(outcome);
          if (give_up && copies->refused == copies->sent) {
            cluster_.history.forbid(session_, Sequence(static_cast<uint64_t>(sequence)));
            return reply({});
          }
        }
        const int64_t wait = outcome.error != nullptr ? 1 + outcome.error->retryAfterMs : 20;
        later(from_ms(wait),
              [=, this] { command<Request>(request, sequence, give_up, copies, reply); });
      });
}

}  // namespace holdfast::sim
