// SPDX-License-Identifier: Apache-2.0
#include "admin/client.hpp"

#include <Poco/Exception.h>
#include <Poco/Net/HTTPClientSession.h>
#include <Poco/Net/HTTPRequest.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocket.h>
#include <Poco/StreamCopier.h>

namespace hyperway::admin {

Result<AdminAnswer, std::string> askSocket(const std::string& path, const std::string& method,
                                           const std::string& target, const std::string& body,
                                           std::chrono::seconds limit) {
  try {
    Poco::Net::StreamSocket socket;
    socket.connect(Poco::Net::SocketAddress(Poco::Net::AddressFamily::UNIX_LOCAL, path),
                   Poco::Timespan(5, 0));
    Poco::Net::HTTPClientSession session(socket);
    session.setTimeout(Poco::Timespan(limit.count(), 0));
    Poco::Net::HTTPRequest request(method, target, Poco::Net::HTTPMessage::HTTP_1_1);
    request.setHost("localhost");
    request.setContentLength(static_cast<int>(body.size()));
    session.sendRequest(request) << body;
    Poco::Net::HTTPResponse response;
    AdminAnswer out;
    Poco::StreamCopier::copyToString(session.receiveResponse(response), out.body);
    out.status = response.getStatus();
    out.type = response.getContentType();
    return out;
  } catch (const Poco::Exception& error) {
    return fail("no gateway answers on the admin socket " + path + " (" + error.displayText() +
                "); is it running, and is this its admin.socket?");
  }
}

}  // namespace hyperway::admin
