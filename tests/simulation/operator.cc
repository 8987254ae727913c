// What is asked for, and how the operator goes on until it is made.
#include "tests/simulation/operator.h"

#include <algorithm>

#include "coordinator/server/member_request.h"

namespace holdfast::sim {

namespace {

/// `holdfast member` of a person who sees no answer ends after a while, and is typed again.
constexpr Duration kPatience = 2s;
constexpr Duration kPause = 100ms;

api::NewMember newcomer(const SimNode& node, api::MemberRole::type role) {
  api::NewMember added;
  added.nodeId = node.number();
  added.peerAddress = node.address();
  added.role = role;
  return added;
}

std::set<NodeId> set_of(const std::vector<NodeId>& ids) { return {ids.begin(), ids.end()}; }

}  // namespace

api::ChangeMembersRequest request_of(Wish wish, const SimNode& whom, const SimNode& in_place) {
  api::ChangeMembersRequest request;
  request.force = wish == Wish::kPromoteByForce || wish == Wish::kRemoveByForce;
  switch (wish) {
    case Wish::kAdd:
      request.added = {newcomer(whom, api::MemberRole::JOINING)};
      break;
    case Wish::kAddLearner:
      request.added = {newcomer(whom, api::MemberRole::LEARNER)};
      break;
    case Wish::kAddVoter:
      request.added = {newcomer(whom, api::MemberRole::VOTER)};
      break;
    case Wish::kPromote:
    case Wish::kPromoteByForce:
      request.promoted = {whom.number()};
      break;
    case Wish::kReplace:
      request.added = {newcomer(in_place, api::MemberRole::VOTER)};
      request.removed = {whom.number()};
      break;
    default:
      request.removed = {whom.number()};
      break;
  }
  return request;
}

void ask_members(SimNode& asked, const api::ChangeMembersRequest& request,
                 const AnswerTaker& then) {
  Call call;
  call.direct = [request](server::Engine& engine, server::CallId id) {
    engine.change_members(id, api::RequestContext{}, request);
  };
  asked.call(call, [&asked, request, then](const Answer& answer) {
    if (answer.result && asked.up()) {
      const raft::Raft& core = asked.core();
      const auto& placed = core.configurations().placed_at(core.commit());
      const bool itself_gone =
          std::count(request.removed.begin(), request.removed.end(), asked.number()) > 0;
      if (!itself_gone && !server::left_to_do(placed.configuration, request).empty()) {
        throw Broken(Rule::kI8,
                     asked.name() + " answered a change of the members that is not made");
      }
    }
    then(answer);
  });
}

Operator::Operator(World& world, std::vector<SimNode*>& nodes,
                   std::function<void(const Fault&)> lose)
    : world_(world), nodes_(nodes), lose_(std::move(lose)) {}

void Operator::want(const Fault& step) {
  steps_.push_back(step);
  if (steps_.size() == 1) next_step();
}

void Operator::again(Duration wait) {
  world_.after(wait, [this, question = ++question_] {
    world_.uncount();
    if (question == question_) ask();
  });
}

void Operator::next_step() {
  if (steps_.empty()) return;
  const Fault step = steps_.front();
  const auto wish = static_cast<Wish>(step.amount);
  if (wish == Wish::kLose) {
    lose_(step);
    steps_.pop_front();
    return again(kPause);
  }
  if (wish != Wish::kRemoveLeader) {
    begin(wish, node(step.other), node(step.mask));
  } else if (const SimNode* leads = leader()) {
    begin(Wish::kRemove, *leads, *leads);
  }
  again(kPause);
}

/// What will be when it is made; nobody else changes the members.
void Operator::begin(Wish wish, const SimNode& whom, const SimNode& in_place) {
  request_ = request_of(wish, whom, in_place);
  if (!voters_) {
    voters_.emplace();
    for (const SimNode* each : nodes_) {
      if (each->number() <= world_.weather().nodes) voters_->insert(each->id());
    }
  }
  switch (wish) {
    case Wish::kAddLearner:
      learners_.insert(whom.id());
      break;
    case Wish::kRemove:
    case Wish::kRemoveByForce:
      voters_->erase(whom.id());
      learners_.erase(whom.id());
      break;
    case Wish::kReplace:
      voters_->erase(whom.id());
      voters_->insert(in_place.id());
      learners_.erase(in_place.id());
      break;
    default:
      voters_->insert(whom.id());
      learners_.erase(whom.id());
      break;
  }
}

SimNode* Operator::leader() {
  const auto at = std::ranges::find_if(
      nodes_, [](SimNode* each) { return each->up() && each->engine().host().serving; });
  return at == nodes_.end() ? nullptr : *at;
}

/// Anybody who runs, another one each time.
SimNode* Operator::choose() {
  for (size_t tried = 0; tried < nodes_.size(); ++tried) {
    SimNode* const each = nodes_[next_asked_++ % nodes_.size()];
    if (each->up() && !each->paused()) return each;
  }
  return nullptr;
}

void Operator::ask() {
  if (!request_) return next_step();
  SimNode* const asked = choose();
  if (asked == nullptr) return again(kPause);
  again(kPatience);
  ask_members(*asked, *request_, [this, question = question_](const Answer& answer) {
    if (question != question_) return;
    if (answer.error) {
      answered_ = answer.error->message;
      return again(kPause);
    }
    steps_.pop_front();
    request_.reset();
    again(kPause);  // not in the turn of the server that answers
  });
}

std::string Operator::unfinished(const raft::Configuration& committed) const {
  if (!steps_.empty()) {
    return "a change of the members is not made (" + describe(steps_.front()) +
           "), and was last answered: " + answered_;
  }
  if (!voters_) return {};
  const bool as_wanted = !raft::is_joint(committed) && set_of(committed.voters) == *voters_ &&
                         set_of(committed.learners) == learners_;
  return as_wanted ? "" : "the members are not those wanted: " + raft::describe(committed);
}

}  // namespace holdfast::sim
