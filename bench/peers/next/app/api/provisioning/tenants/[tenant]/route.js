import { notAllowed, operation } from "../../../../../lib/operation.js";

export const dynamic = "force-dynamic";

export const GET = operation("tenant_get");

export const POST = notAllowed("GET");
export const PUT = POST;
export const PATCH = POST;
export const DELETE = POST;
