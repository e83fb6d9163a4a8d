import { notAllowed, operation } from "../../../../lib/operation.js";

export const dynamic = "force-dynamic";

export const GET = operation("tenant_list");
export const POST = operation("tenant_create");

export const PUT = notAllowed("GET, POST");
export const PATCH = PUT;
export const DELETE = PUT;
