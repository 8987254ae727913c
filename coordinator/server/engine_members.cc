// Calls of service HoldfastAdmin about the members, and what the core says of them.
#include "coordinator/rsm/path.h"
#include "coordinator/server/engine.h"
#include "raft/core/configuration.h"

namespace holdfast::server {
namespace {

std::string list_of(const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return text;
}

const char* word_of(api::MemberRole::type role) {
  switch (role) {
    case api::MemberRole::VOTER:
      return " voter";
    case api::MemberRole::LEARNER:
      return " learner";
    default:
      return "";
  }
}

std::string describe(const api::ChangeMembersRequest& request) {
  std::string text = "changeMembers";
  for (const api::NewMember& added : request.added) {
    text += " add=" + std::to_string(added.nodeId) + "@" + rsm::quote(added.peerAddress) +
            word_of(added.role);
  }
  if (!request.promoted.empty()) text += " promote=" + list_of(request.promoted);
  if (!request.removed.empty()) text += " remove=" + list_of(request.removed);
  if (request.raiseLevel != 0) text += " raiseLevel=" + std::to_string(request.raiseLevel);
  return text + (request.force ? " force" : "");
}

}  // namespace

void Engine::members(CallId call, const api::RequestContext& context, const api::MembersRequest&) {
  const raft::Raft& core = node_.core();
  api::MembersResult reply;
  host_.fill(reply.header, context.sequence);
  reply.members = members_of(core);
  for (const raft::RemovedMember& gone : core.configuration().removed) {
    api::RemovedMember& removed = reply.removed.emplace_back();
    removed.nodeId = static_cast<int32_t>(gone.id.value);
    removed.storeId = static_cast<int64_t>(gone.store.value);
    removed.index = static_cast<int64_t>(gone.index.value);
  }
  reply.index = static_cast<int64_t>(core.configurations().latest_index().value);
  reply.settled = is_settled(core);
  host_.show(call, &reply);
}

void Engine::change_members(CallId call, const api::RequestContext& context,
                            const api::ChangeMembersRequest& request) {
  if (refuse_stopping(call, context)) return;
  if (const auto fault = fault_of(request)) return bad_argument(call, context, *fault);
  audit(context, describe(request));
  member_changes_.ask(call, request, context.trace, deadline_of(context));
}

void Engine::on_configuration(const raft::Configuration& configuration) {
  ports_.audit("the members are now " + raft::describe(configuration));
  member_changes_.on_configuration();
}

void Engine::retire(const std::string& why) {
  stopping_ = why;
  draining_ = true;
  rebuild_.reset();  // nobody gives it a state any more
  member_changes_.on_removed();
  finish_drain();
}

}  // namespace holdfast::server
