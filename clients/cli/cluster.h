// A cluster as a command sees it: the client core on a loop that this thread turns until the answer
// is there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/net/loop.h"
#include "clients/cli/arguments.h"
#include "clients/cpp/client_core.h"

namespace holdfast::cli {

/// Options that every command takes.
const std::vector<OptionSpec>& common_options();

class Cluster {
 public:
  /// The client ports (--servers, HOLDFAST_SERVERS, 127.0.0.1:7411).
  static client::Outcome<std::unique_ptr<Cluster>> clients(const Arguments& arguments);
  /// The administration ports (--admin, HOLDFAST_ADMIN, 127.0.0.1:7413).
  static client::Outcome<std::unique_ptr<Cluster>> administration(const Arguments& arguments);
  /// One administration port alone.
  static client::Outcome<std::unique_ptr<Cluster>> one(const std::string& address,
                                                       Duration timeout);
  /// The addresses that administration() would use.
  static std::vector<std::string> admin_addresses(const Arguments& arguments);

  template <class Call>
  client::Outcome<typename Call::Result> read(typename Call::Request request) {
    return wait<typename Call::Result>([&](auto done) {
      core_->template read<Call>(std::move(request), [done](auto outcome, const client::CallInfo&) {
        done(std::move(outcome));
      });
    });
  }
  template <class Call>
  client::Outcome<typename Call::Result> write(typename Call::Request request) {
    return wait<typename Call::Result>([&](auto done) {
      core_->template write<Call>(
          std::move(request),
          [done](auto outcome, const client::CallInfo&) { done(std::move(outcome)); });
    });
  }
  client::Outcome<std::shared_ptr<client::SessionCore>> open_session(
      const client::SessionOptions& options) {
    return wait<std::shared_ptr<client::SessionCore>>(
        [&](auto done) { core_->open_session(options, done); });
  }

  /// Starts something whose callback gives an Outcome, and turns the loop until it has.
  template <class T, class Start>
  client::Outcome<T> wait(Start&& start) {
    auto answer = std::make_shared<std::optional<client::Outcome<T>>>();
    start([answer](client::Outcome<T> outcome) { answer->emplace(std::move(outcome)); });
    while (!*answer) loop_.turn(1s);
    return std::move(**answer);
  }

  net::Loop& loop() { return loop_; }

 private:
  Cluster() : loop_(clock_) {}
  static client::Outcome<std::unique_ptr<Cluster>> make(client::ClientOptions options);

  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_;
  std::unique_ptr<client::ClientCore> core_;
};

}  // namespace holdfast::cli
