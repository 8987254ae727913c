#include "clients/cli/status_query.h"

#include <algorithm>

#include "clients/cli/remote.h"

namespace holdfast::cli {

StatusQuery::StatusQuery(net::Loop& loop, Entropy& entropy, const std::vector<std::string>& admins,
                         Duration timeout)
    : loop_(loop), entropy_(entropy), asked_(admins.size()) {
  for (size_t i = 0; i < admins.size(); ++i) ask(admins[i], timeout, asked_[i]);
}

// A client of its own for each: of a client's servers one answers for all.
void StatusQuery::ask(const std::string& admin, Duration timeout, Asked& asked) {
  client::ClientOptions options = client_options(timeout);
  options.servers = {admin};
  options.pool.follow_leader = false;
  options.pool.wait_for_a_state = false;  // how it stands is the question
  auto client = client::ClientCore::create(loop_, entropy_, options);
  if (!client) {
    asked.answer.emplace(client.error());
    return;
  }
  asked.client = std::move(*client);
  asked.client->read<client::ServerStatus>(
      {},
      [&asked](const Answer& answer, const client::CallInfo&) { asked.answer.emplace(answer); });
}

bool StatusQuery::done() const {
  return std::ranges::all_of(asked_, [](const Asked& one) { return one.answer.has_value(); });
}

std::vector<StatusQuery::Answer> StatusQuery::answers() const {
  HF_CHECK(done(), "answers are still missing");
  std::vector<Answer> all;
  for (const Asked& one : asked_) all.push_back(*one.answer);
  return all;
}

std::vector<api::StatusResult> statuses_of(const std::vector<std::string>& admins,
                                           Duration timeout) {
  SystemClock clock;
  SystemEntropy entropy;
  net::Loop loop{clock};
  StatusQuery query(loop, entropy, admins, timeout);
  while (!query.done()) loop.turn(1s);
  std::vector<api::StatusResult> told;
  for (const StatusQuery::Answer& answer : query.answers()) {
    if (answer) told.push_back(*answer);
  }
  return told;
}

}  // namespace holdfast::cli
