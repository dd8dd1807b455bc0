// SPDX-License-Identifier: Apache-2.0
#include "net/message_socket.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace hyperway::net {
namespace {

using namespace std::chrono_literals;

std::size_t openDescriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

std::vector<Fd> nullDevices(std::size_t count) {
  std::vector<Fd> out;
  for (std::size_t i = 0; i < count; ++i)
    out.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return out;
}

// Sends what MessageSocket would never send.
void sendRaw(int to, std::string text, const std::vector<Fd>& fds) {
  iovec part{text.data(), text.size()};
  std::array<char, 2048> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (std::size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  REQUIRE(::sendmsg(to, &header, MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

TEST_CASE("messages stay apart, and their descriptors arrive with them, closed on exec") {
  const auto [one, other] = MessageSocket::pair();
  const auto nulls = nullDevices(2);
  REQUIRE(one.send("first", {nulls[0].get(), nulls[1].get()}).has_value());
  REQUIRE(one.send("second").has_value());
  const auto first = other.wait(1s);
  REQUIRE(first.has_value());
  CHECK(first->text == "first");
  REQUIRE(first->fds.size() == 2);
  for (const Fd& fd : first->fds) {
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK(::fcntl(fd.get(), F_GETFL) == ::fcntl(nulls[0].get(), F_GETFL));
  }
  const auto second = other.wait(1s);
  REQUIRE(second.has_value());
  CHECK(second->text == "second");
  CHECK(second->fds.empty());
  const auto none = other.receive();
  REQUIRE(none.has_value());
  CHECK_FALSE(none->has_value());
}

TEST_CASE("the largest message goes through") {
  const auto [one, other] = MessageSocket::pair();
  const auto nulls = nullDevices(MessageSocket::kMaxDescriptors);
  std::vector<int> fds;
  for (const Fd& fd : nulls) fds.push_back(fd.get());
  REQUIRE(one.send(std::string(MessageSocket::kMaxText, 'x'), fds).has_value());
  const auto got = other.wait(1s);
  REQUIRE(got.has_value());
  CHECK(got->text.size() == MessageSocket::kMaxText);
  CHECK(got->fds.size() == MessageSocket::kMaxDescriptors);
}

TEST_CASE("a message that is too long or has too many descriptors is refused, and leaves none") {
  const auto [one, other] = MessageSocket::pair();
  const auto nulls = nullDevices(MessageSocket::kMaxDescriptors + 1);
  const std::size_t before = openDescriptors();
  sendRaw(one.descriptor(), std::string(MessageSocket::kMaxText + 1, 'x'), {});
  auto got = other.wait(1s);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().find("16384 bytes") != std::string::npos);
  sendRaw(one.descriptor(), "many", nulls);
  got = other.wait(1s);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().find("more than 128 descriptors") != std::string::npos);
  CHECK(openDescriptors() == before);
  // The next message is read as if nothing had been.
  REQUIRE(one.send("fine").has_value());
  CHECK(other.wait(1s).has_value());
}

TEST_CASE("who is gone is said to be, who says nothing is given up") {
  auto [one, other] = MessageSocket::pair();
  auto got = other.wait(10ms);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error() == "the other process says nothing");
  REQUIRE(one.send("last").has_value());
  { const MessageSocket gone = std::move(one); }
  REQUIRE(other.wait(1s).has_value());  // what was said before counts
  got = other.wait(1s);
  REQUIRE_FALSE(got.has_value());
  CHECK(got.error().find("closed") != std::string::npos);
  const auto sent = other.send("hello?");
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().find("closed") != std::string::npos);
}

TEST_CASE("only an end that a process of the same user made is taken") {
  int pair[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  const Fd other{pair[1]};
  const auto stranger =
      MessageSocket::adopt(Fd{::fcntl(pair[0], F_DUPFD_CLOEXEC, 0)}, ::geteuid() + 1);
  REQUIRE_FALSE(stranger.has_value());
  CHECK(stranger.error().find("was made by user " + std::to_string(::geteuid())) !=
        std::string::npos);
  const auto taken = MessageSocket::adopt(Fd{pair[0]}, ::geteuid());
  REQUIRE(taken.has_value());
  CHECK((::fcntl(taken->descriptor(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("what is no such socket is not taken") {
  int pipe_ends[2];
  REQUIRE(::pipe2(pipe_ends, O_CLOEXEC) == 0);
  const Fd writing{pipe_ends[1]};
  CHECK_FALSE(MessageSocket::adopt(Fd{pipe_ends[0]}, ::geteuid()).has_value());
  CHECK_FALSE(
      MessageSocket::adopt(Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, ::geteuid())
          .has_value());
  CHECK_FALSE(MessageSocket::adopt(Fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, ::geteuid())
                  .has_value());
  CHECK_FALSE(MessageSocket::adopt(Fd{987654}, ::geteuid()).has_value());
}

}  // namespace
}  // namespace hyperway::net
