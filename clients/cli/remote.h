// Calls that the command line waits for.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/client_core.h"

namespace holdfast::cli {

/// What one invocation needs everywhere.
struct Context {
  std::vector<std::string> servers;  ///< client addresses
  std::vector<std::string> admins;   ///< administration addresses
  Duration timeout = 10s;
  bool json = false;
};

/// To be filled with the servers. Without a cluster nothing is waited for: that is the answer.
client::ClientOptions client_options(Duration timeout);

/// A client of some servers on a loop of its own, turned while a call is waited for.
class Remote {
 public:
  /// `follow_leader` off for administration ports.
  static client::Outcome<std::unique_ptr<Remote>> connect(const std::vector<std::string>& servers,
                                                          Duration timeout, bool follow_leader);

  template <class Call>
  client::Outcome<typename Call::Result> read(typename Call::Request request,
                                              int64_t min_revision = 0) {
    return wait<Call>(
        [&](auto done) { core_->read<Call>(std::move(request), done, min_revision); });
  }
  /// Sent once: outcome unknown if the answer is lost.
  template <class Call>
  client::Outcome<typename Call::Result> write(typename Call::Request request) {
    return wait<Call>([&](auto done) { core_->write<Call>(std::move(request), done); });
  }

 private:
  Remote() = default;
  template <class Call, class Start>
  client::Outcome<typename Call::Result> wait(Start start) {
    std::optional<client::Outcome<typename Call::Result>> answer;
    start([&](const client::Outcome<typename Call::Result>& outcome, const client::CallInfo&) {
      answer.emplace(outcome);
    });
    while (!answer) loop_.turn(1s);
    return std::move(*answer);
  }

  SystemClock clock_;
  SystemEntropy entropy_;
  net::Loop loop_{clock_};
  std::unique_ptr<client::ClientCore> core_;
};

/// Prints "holdfast: message" on standard error and returns the exit code that goes with it.
int report(const client::CallError& error);
int report(const Error& error);

/// A refusal with other names for a server's fields: those of the command line.
client::CallError in_words_of_flags(client::CallError refusal,
                                    const std::map<std::string, std::string>& names);

/// Whether standard output took all that was printed; if not, says why.
bool output_taken();
/// Why standard output took no more.
void report_not_taken(int error);

/// One JSON document on standard output.
void print_json(const nlohmann::json& document);

}  // namespace holdfast::cli
