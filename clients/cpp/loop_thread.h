// The thread that a blocking client's core runs on; used by clients/cpp/holdfast.cc only.
#pragma once

#include <future>
#include <memory>
#include <thread>
#include <utility>

#include "base/signals_blocked.h"
#include "clients/cpp/client_core.h"

namespace holdfast::client {

class LoopThread {
 public:
  /// Goes with its last owner. That may be a callback on the loop's own thread (one that held the
  /// last handle of a session): then another thread waits for the loop's end.
  static std::shared_ptr<LoopThread> make(Clock* clock) {
    return {new LoopThread(clock), [](LoopThread* last) {
              if (last->is_current()) {
                std::thread([last] { delete last; }).detach();
              } else {
                delete last;
              }
            }};
  }
  explicit LoopThread(Clock* clock) : loop_(clock != nullptr ? *clock : system_clock_) {}
  ~LoopThread() {
    if (!thread_.joinable()) return;
    loop_.post([this] {
      core_.reset();
      loop_.stop();
    });
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  Outcome<bool> start(const ClientOptions& options) {
    auto core = ClientCore::create(loop_, entropy_, options);
    if (!core) return core.error();
    core_ = std::move(*core);
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { loop_.run(); });
    return true;
  }

  /// Runs `begin(done)` on the loop's thread and waits until `done` is called with the answer.
  template <class T, class Begin>
  T wait(Begin begin) {
    HF_CHECK(!is_current(), "blocking call inside a callback");
    const auto answer = std::make_shared<std::promise<T>>();
    auto future = answer->get_future();
    loop_.post([begin = std::move(begin), answer] {
      begin([answer](T value) { answer->set_value(std::move(value)); });
    });
    return future.get();
  }
  bool is_current() const { return std::this_thread::get_id() == thread_.get_id(); }
  void post(std::function<void()> work) { loop_.post(std::move(work)); }
  Instant now() { return loop_.clock().now(); }
  ClientCore& core() { return *core_; }

 private:
  SystemClock system_clock_;
  SystemEntropy entropy_;
  net::Loop loop_;
  std::unique_ptr<ClientCore> core_;
  std::thread thread_;
};

}  // namespace holdfast::client
