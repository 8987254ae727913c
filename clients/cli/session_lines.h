// What befalls the session of a running command: a sentence for people, with --json a document in
// one line for programs.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>

#include "clients/cpp/client_core.h"

namespace holdfast::cli {

/// Says one or the other; the sentence on standard error.
class SessionLines {
 public:
  /// `out` takes the documents, each at once: whoever reads one acts on it.
  using Out = std::function<void(const std::string& line)>;

  SessionLines(bool json, Out out) : json_(json), out_(std::move(out)) {}
  /// Type "notice": an operator takes the lock at the notice's path, or, without a path, the whole
  /// session.
  void notice(int64_t session, const api::RevocationNotice& notice) const;
  /// Type "session_ended".
  void session_ended(int64_t session, const std::string& reason, const std::string& sentence) const;
  void say(const nlohmann::json& document, const std::string& sentence) const;

 private:
  const bool json_;
  const Out out_;
};

}  // namespace holdfast::cli
