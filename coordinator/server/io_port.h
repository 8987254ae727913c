// The client port with --io_threads: listens on the engine's thread, hands each connection to the
// next I/O thread in turn, and passes calls and answers between them and the engine.
//
// What it can say about time. An expiry is decided only about deadlines up to which all input is
// known to be handled (handled_until()), and with I/O threads nobody knows that at a glance: each
// batch of a thread says how far that thread has come, and the least of all threads counts. An idle
// thread sleeps and says nothing, so when a decision is due it is asked, and looks once more. A
// connection that is accepted and not yet served counts from the last moment at which the listener
// had nothing waiting: whatever came in on it came later. The thread that gets it says when it is
// read.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/net/listener.h"
#include "base/net/loop.h"
#include "base/net/timer.h"
#include "coordinator/server/io_thread.h"
#include "coordinator/server/port.h"

namespace holdfast::server {

class IoPort final : public Port {
 public:
  /// Listens at once, as RpcPort::open() does. `threads` is at least 1; their tags begin with
  /// options.tag.
  static Result<std::unique_ptr<IoPort>> open(net::Loop& loop, const RpcPortOptions& options,
                                              std::span<const RpcMethod> methods, size_t threads);
  ~IoPort() override;

  void serve_unformed(UnformedCalls& calls) override;
  void serve(Engine& engine) override;
  void stop_accepting() override { listener_.reset(); }
  void close_all_after_flush() override;
  bool closing_done() const override;
  Instant handled_until() const override;
  void ask_handled_until(Instant moment) override;
  uint16_t port() const override { return port_; }
  size_t connections() const override;
  RpcPortStats stats() const override;

  void complete(CallId call, const ReplyView& reply) override;
  void fail(CallId call, const api::HoldfastError& error) override;
  uint64_t client_of(CallId call) const override;

 private:
  /// Connections handed over, of which the thread has not yet said that it reads them.
  struct HandOver {
    uint64_t last = 0;  ///< its number among all handed to this thread
    Instant since;      ///< nothing came in on them before
  };
  struct Worker {
    std::unique_ptr<IoThread> thread;
    Instant handled_until;
    uint64_t handed = 0;
    std::deque<HandOver> hand_overs;
    Instant asked;  ///< the latest moment it was asked about
    size_t connections = 0;
    RpcPortStats stats;
  };

  IoPort(net::Loop& loop, const RpcPortOptions& options, std::span<const RpcMethod> methods,
         size_t threads);
  void begin_serving();
  void hand_over(net::Socket socket);
  void receive(Worker& worker, IoCalls& batch);
  void take(IoCalls::Call& call);
  /// As handled_until(), but for connections that wait to be accepted.
  Instant handled_by_threads() const;
  void count_pause(const IoCalls::Pause& pause);
  void end_turn();
  /// For a report of the present: its counts, and how far it has come.
  void ask(Worker& worker);
  Worker& worker_of(CallId call) { return workers_[call.port - options_.tag]; }
  const Worker& worker_of(CallId call) const { return workers_[call.port - options_.tag]; }

  net::Loop& loop_;
  const RpcPortOptions options_;
  uint16_t port_ = 0;
  Engine* engine_ = nullptr;
  UnformedCalls* unformed_ = nullptr;  ///< as long as there is no engine
  std::unique_ptr<net::Listener> listener_;
  size_t next_worker_ = 0;
  Instant nothing_waited_;  ///< the listener had no connection waiting then
  Instant paused_until_;    ///< pauses up to here are counted
  std::vector<Worker> workers_;
  net::Timer counts_timer_;
  net::Loop::Hook gap_hook_;
  net::Loop::Hook turn_hook_;
};

}  // namespace holdfast::server
