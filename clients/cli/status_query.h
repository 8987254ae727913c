// Asks servers for their status, all at the same time: one that is down is waited for once,
// however many of them are.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/entropy.h"
#include "base/net/loop.h"
#include "clients/cpp/client_core.h"

namespace holdfast::cli {

/// Loop thread only.
class StatusQuery {
 public:
  using Answer = client::Outcome<api::StatusResult>;

  /// Each of `admins` has `timeout`, counted from now. The loop and the entropy outlive the query.
  StatusQuery(net::Loop& loop, Entropy& entropy, const std::vector<std::string>& admins,
              Duration timeout);
  StatusQuery(const StatusQuery&) = delete;
  StatusQuery& operator=(const StatusQuery&) = delete;

  /// Each has answered or had its time.
  bool done() const;
  /// Once done: in the order of `admins`.
  std::vector<Answer> answers() const;

 private:
  struct Asked {
    std::unique_ptr<client::ClientCore> client;
    std::optional<Answer> answer;
  };
  void ask(const std::string& admin, Duration timeout, Asked& asked);

  net::Loop& loop_;
  Entropy& entropy_;
  std::vector<Asked> asked_;  ///< never grows after the first question: callbacks point into it
};

/// What those of `admins` tell that answer within `timeout`.
std::vector<api::StatusResult> statuses_of(const std::vector<std::string>& admins,
                                           Duration timeout);

}  // namespace holdfast::cli
